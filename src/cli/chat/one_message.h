// chat -p, -f, or from a pipe: one message, its reply, and out.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "cli/chat/responder.h"
#include "cli/terminal.h"

namespace orthrus::cli {

struct MessageSource {
  std::optional<std::string> text;  // -p
  std::optional<std::string> file;  // -f; "-" is standard input

  bool given() const { return text || file; }
  // The text; the file; both, the file before and an empty line between; standard input where
  // neither was given. The last newline of a file is not part of the message. Throws Error(kUsage)
  // for what is empty or not UTF-8, Error(kFile) for what cannot be read.
  std::string read() const;
};

// What /read FILE TEXT and -f FILE -p TEXT send. Throws as MessageSource::read.
std::string message_of_file(const std::string& file, const std::string& question);

enum class Telling { kReplyAndSummary, kReply, kJson };

// Writes the reply to standard output as it comes, and the summary to standard error; or at its end
// one JSON object. Returns the exit code.
int reply_once(Responder& responder, std::span<const ChatMessage> messages,
               const GenerateOptions& options, Telling telling, Style style);

}  // namespace orthrus::cli
