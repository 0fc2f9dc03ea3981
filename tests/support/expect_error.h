// Asserting what an orthrus::Error says.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "orthrus/error.h"

namespace orthrus::test {

// That `action` throws an Error of this kind with exactly this message.
template <typename Action>
void expect_error(ErrorKind kind, const std::string& message, const Action& action) {
  try {
    action();
    ADD_FAILURE() << "No error, but there should be: " << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), message);
    EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(kind)) << message;
  }
}

}  // namespace orthrus::test
