cmake_minimum_required(VERSION 3.25)

# Flags that let the compiler rearrange arithmetic are refused, by a message that names them; ours
# are not.
foreach(flags "-ffast-math" "-Ofast" "-ffinite-math-only" "-funsafe-math-optimizations" "")
  separate_arguments(list UNIX_COMMAND "${flags}")
  execute_process(
    COMMAND ${CXX} -std=c++20 -fsyntax-only ${list} -I${SOURCE_DIR}/src -I${SOURCE_DIR}/include
            -x c++ ${SOURCE_DIR}/src/kernels/select.cpp
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT flags AND NOT result EQUAL 0)
    message(SEND_ERROR "without flags:\n${output}")
  elseif(flags AND (result EQUAL 0 OR NOT output MATCHES "cannot be built with -ffast-math"))
    # clang has no macro for this one; the build takes it back (CMakeLists.txt).
    if(NOT (flags STREQUAL "-funsafe-math-optimizations" AND CLANG))
      message(SEND_ERROR "with ${flags}: ended with ${result}:\n${output}")
    endif()
  endif()
endforeach()
