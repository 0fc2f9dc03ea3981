# cmake --install: the library, its headers, the command, and a package for find_package(orthrus).
include(CMakePackageConfigHelpers)

install(TARGETS orthrus EXPORT orthrus-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(ORTHRUS_BUILD_COMMAND)
  install(TARGETS orthrus-cli RUNTIME)
endif()
install(DIRECTORY include/orthrus DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT orthrus-targets NAMESPACE orthrus::
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/orthrus)
configure_package_config_file(cmake/orthrus-config.cmake.in orthrus-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/orthrus)
write_basic_package_version_file(orthrus-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/orthrus-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/orthrus-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/orthrus)
