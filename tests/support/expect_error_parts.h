// Asserting the essential parts of an orthrus::Error's message.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "orthrus/error.h"

namespace orthrus::test {

template <typename Action>
void expect_error_parts(const Action& action, ErrorKind kind,
                        std::initializer_list<std::string> parts) {
  try {
    action();
    ADD_FAILURE() << "No error, but there should be one with: " << *parts.begin();
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(kind)) << error.what();
    for (const std::string& part : parts) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
          << "the message lacks: " << part << "\nit is: " << error.what();
    }
  }
}

}  // namespace orthrus::test
