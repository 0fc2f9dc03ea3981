#include "server/log.h"

#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <ctime>
#include <deque>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

#include "base/counted.h"
#include "base/thread_for.h"
#include "files/display.h"

namespace orthrus::server {
namespace {

constexpr size_t kMostLines = 10'000;
constexpr std::array<const char*, 4> kNames = {"debug", "info", "warning", "error"};

std::string now() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  std::tm parts{};
  gmtime_r(&time.tv_sec, &parts);
  char text[32];
  const size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", std::string_view(text, size), time.tv_nsec / 1'000'000);
}

void write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = ::write(file, text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return;  // there is nobody to tell
    text.remove_prefix(static_cast<size_t>(size));
  }
}

bool is_routine(std::string_view path) {
  return path == "/health" || path == "/ready" || path == "/metrics";
}

}  // namespace

struct Log::Impl {
  Impl(LogLevel least, int file)
      : least(least), file(file), thread(thread_for("the log", [this] { run(); })) {}

  void run() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return ending || !lines.empty(); });
      if (lines.empty()) return;
      std::string text;
      try {
        for (const std::string& line : lines) text += line;
        if (dropped > 0) {
          text +=
              fmt::format("{} warning dropped from the log: {}\n", now(), counted(dropped, "line"));
        }
        dropped = 0;
      } catch (const std::bad_alloc&) {
        dropped += lines.size();
        text.clear();
      }
      lines.clear();
      lock.unlock();
      write_all(file, text);
      lock.lock();
    }
  }

  const LogLevel least;
  const int file;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::string> lines;
  size_t dropped = 0;
  bool ending = false;
  std::thread thread;
};

Log::Log(LogLevel least, int file) : impl_(std::make_unique<Impl>(least, file)) {}

Log::~Log() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->ending = true;
  }
  impl_->changed.notify_all();
  impl_->thread.join();
}

void Log::write(LogLevel level, std::string_view message) {
  if (level < impl_->least) return;
  std::string line = fmt::format("{} {} {}\n", now(), kNames[static_cast<size_t>(level)], message);
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->lines.size() == kMostLines) {
      ++impl_->dropped;
      return;
    }
    impl_->lines.push_back(std::move(line));
  }
  impl_->changed.notify_all();
}

void Log::write(const HttpRecord& record) {
  // A server that is not ready yet says so, which is no fault.
  const bool routine = is_routine(record.path) && (record.status < 500 || record.status == 503);
  const LogLevel level = routine                ? LogLevel::kDebug
                         : record.status >= 500 ? LogLevel::kWarning
                                                : LogLevel::kInfo;
  if (level < impl_->least) return;
  const auto known = [](const std::string& text) { return text.empty() ? "-" : printable(text); };
  write(level, fmt::format("id={} {} {} {} {:.3f}s{}{}", record.id, known(record.method),
                           known(record.path), record.status, record.seconds,
                           record.note.empty() ? "" : " ", record.note));
}

}  // namespace orthrus::server
