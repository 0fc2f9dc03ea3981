#include "cli/waiting.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <thread>

namespace orthrus::cli {
namespace {

// Both ends do not wait.
struct Pipe {
  Pipe() { EXPECT_EQ(pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC), 0); }
  ~Pipe() {
    for (const int end : ends) close(end);
  }
  std::array<int, 2> ends{};
};

TEST(Waiting, WritesAllThroughAFullPipeToASlowReader) {
  const Pipe pipe;
  std::string text(size_t{1} << 20, '\0');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7919 >> 8);
  std::string read;
  {
    const std::jthread reader([&] {
      std::array<char, 777> buffer;
      while (read.size() < text.size()) {
        const ptrdiff_t count = read_some(pipe.ends[0], buffer.data(), buffer.size());
        ASSERT_GT(count, 0);
        read.append(buffer.data(), static_cast<size_t>(count));
      }
    });
    EXPECT_EQ(write_all(pipe.ends[1], text), 0);
  }
  EXPECT_EQ(read, text);
}

TEST(Waiting, TellsOtherErrors) {
  std::array<char, 4> buffer;
  EXPECT_EQ(read_some(-1, buffer.data(), buffer.size()), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(write_all(-1, "x"), EBADF);
  EXPECT_EQ(write_all(-1, ""), 0);
}

}  // namespace
}  // namespace orthrus::cli
