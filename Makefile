# For people who build daily; scripts/demo.sh and scripts/test.sh set a new machine up by themselves.
.PHONY: build demo test test-asan test-tsan test-clang fuzz bench format clean

build:  ## build/orthrus
	@scripts/setup.sh libgtest-dev
	@cmake --preset release -DORTHRUS_BUILD_TESTS=ON >/dev/null
	@cmake --build --preset release

demo:
	@scripts/demo.sh

test:
	@scripts/test.sh

test-asan:  ## all tests under AddressSanitizer and UBSan (whose own locks a fork among threads may copy)
	@scripts/setup.sh libgtest-dev tmux
	@cmake --preset asan >/dev/null
	@cmake --build --preset asan
	@ctest --preset asan

test-tsan:  ## where threads meet, under ThreadSanitizer (which cannot follow a fork)
	@scripts/setup.sh libgtest-dev
	@cmake --preset tsan >/dev/null
	@cmake --build --preset tsan
	@ctest --preset tsan

test-clang:  ## all tests, built with clang 19
	@scripts/setup.sh libgtest-dev tmux clang-19
	@cmake --preset clang >/dev/null
	@cmake --build --preset clang
	@ctest --preset clang

fuzz:  ## every fuzz target for a minute
	@scripts/fuzz.sh

bench:  ## the kernels' benchmarks, then AR and auto in alternation on models/tiny-code
	@scripts/setup.sh libbenchmark-dev
	@cmake --preset release -DORTHRUS_BUILD_BENCH=ON >/dev/null
	@cmake --build --preset release
	@build/bench/kernels_bench
	@build/bench/forward_bench
	@build/orthrus bench --model models/tiny-code

format:  ## lays all C++ and CUDA sources out
	@scripts/format.sh

clean:
	@rm -rf build build-asan build-tsan build-clang build-fuzz
