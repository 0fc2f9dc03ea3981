#pragma once

#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "orthrus/error.h"

namespace orthrus {

// A thread that runs `body`. Throws Error(kSystem) where the system gives none.
std::thread thread_for(std::string_view purpose, auto body) {
  try {
    return std::thread(std::move(body));
  } catch (const std::system_error& error) {
    throw Error(ErrorKind::kSystem, "A thread for " + std::string(purpose) +
                                        " could not be made: " + error.code().message() +
                                        ". Ask for a higher limit of processes.");
  }
}

}  // namespace orthrus
