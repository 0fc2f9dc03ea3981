// The command: from its start to its end.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "server/http_client.h"

namespace orthrus::test {
namespace {

const std::string kTinyCode = ORTHRUS_MODELS "/tiny-code";

// `orthrus serve` as a process.
class Serving {
 public:
  explicit Serving(std::vector<std::string> options) {
    options.insert(options.begin(), {ORTHRUS_BINARY, "serve", "-m", kTinyCode});
    std::vector<char*> words;
    for (std::string& word : options) words.push_back(word.data());
    words.push_back(nullptr);
    int log[2];
    if (pipe(log) != 0) throw std::runtime_error("no pipe");
    process_ = fork();
    if (process_ == 0) {
      dup2(log[1], STDERR_FILENO);
      close(log[0]);
      close(log[1]);
      execv(words[0], words.data());
      _exit(127);
    }
    close(log[1]);
    log_ = log[0];
  }

  ~Serving() {
    if (process_ > 0) {
      kill(process_, SIGKILL);
      waitpid(process_, nullptr, 0);
    }
    close(log_);
  }

  // Reads the log until it says this, or ends.
  bool wait_for(const std::string& text) {
    while (said_.find(text) == std::string::npos) {
      char bytes[4096];
      const ssize_t size = read(log_, bytes, sizeof bytes);
      if (size <= 0) return false;
      said_.append(bytes, static_cast<size_t>(size));
    }
    return true;
  }
  int port() {
    constexpr std::string_view kAt = "serving at http://127.0.0.1:";
    if (!wait_for(std::string(kAt))) return 0;
    return std::stoi(said_.substr(said_.find(kAt) + kAt.size()));  // lines are written whole
  }
  const std::string& said() const { return said_; }

  void signal(int number) const { kill(process_, number); }
  // 128 + the signal's number when a signal ended it.
  int wait() {
    wait_for("\n never said");
    int status = 0;
    waitpid(process_, &status, 0);
    process_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t process_ = 0;
  int log_ = -1;
  std::string said_;
};

std::string completion(int tokens, bool stream = false) {
  return nlohmann::json{{"prompt", "def fibonacci(n):"},
                        {"max_tokens", tokens},
                        {"ignore_eos", true},
                        {"stream", stream}}
      .dump();
}

TEST(Serve, AnswersUntilItIsToldToEnd) {
  Serving serving({"--port", "0", "--served-model-name", "tiny", "--log-level", "debug",
                   "--draft-weights", "q8_0"});
  const int port = serving.port();
  ASSERT_GT(port, 0) << serving.said();
  const size_t loading = serving.said().find(" info loading " + kTinyCode + " on cpu\n");
  ASSERT_NE(loading, std::string::npos) << serving.said();
  EXPECT_NE(
      serving.said().find(" info model \"tiny\": BF16 weights, Q8_0 in drafts on cpu, ", loading),
      std::string::npos)
      << serving.said();
  EXPECT_EQ(ask(port, "GET", "/health").status, 200);
  EXPECT_EQ(ask(port, "GET", "/ready").body, R"({"status":"ready"})");
  const auto props = nlohmann::json::parse(ask(port, "GET", "/props").body);
  EXPECT_EQ(props["model"], "tiny");
  EXPECT_EQ(props["block_size"], 16);
  EXPECT_EQ(props["weights"], nlohmann::json({"BF16"}));
  EXPECT_EQ(props["draft_weights"], nlohmann::json({"Q8_0"}));
  EXPECT_EQ(props["context_length"], 2048);
  EXPECT_EQ(props["defaults"], nlohmann::json({{"temperature", 0.0},
                                               {"top_k", 0},
                                               {"top_p", 1.0},
                                               {"min_p", 0.0},
                                               {"repetition_penalty", 1.0},
                                               {"presence_penalty", 0.0},
                                               {"frequency_penalty", 0.0},
                                               {"stop", nlohmann::json::array()}}));
  EXPECT_EQ(props["max_batch"], 64);
  EXPECT_EQ(ask(port, "GET", "/nothing").status, 404);
  const HttpResponse answer =
      ask(port, "POST", "/v1/completions", completion(8), "X-Request-Id: mine\r\n");
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.fields.at("x-request-id"), "mine");
  const std::string metrics = ask(port, "GET", "/metrics").body;
  EXPECT_NE(metrics.find("vllm:generation_tokens_total{engine=\"0\",model_name=\"tiny\"} 8\n"),
            std::string::npos)
      << metrics;
  serving.signal(SIGTERM);
  EXPECT_EQ(serving.wait(), 0);
  EXPECT_NE(serving.said().find("id=mine POST /v1/completions 200 "), std::string::npos);
  EXPECT_NE(serving.said().find(" tokens=8 "), std::string::npos) << serving.said();
  EXPECT_EQ(serving.said().find("fibonacci"), std::string::npos) << "prompts are not logged";
}

TEST(Serve, FinishesWhatRunsAndASecondSignalEndsIt) {
  Serving serving({"--port", "0"});
  const int port = serving.port();
  HttpClient client(port);
  client.send(http_request("POST", "/v1/completions", completion(20, true)));
  std::string all = client.read_some();
  serving.signal(SIGINT);
  all += client.read_all();
  EXPECT_NE(all.find("data: [DONE]"), std::string::npos) << all;
  EXPECT_EQ(serving.wait(), 0);

  Serving cancelled({"--port", "0"});
  HttpClient long_one(cancelled.port());
  long_one.send(http_request("POST", "/v1/completions", completion(1900, true)));
  EXPECT_NE(long_one.read_some(), "");
  cancelled.signal(SIGTERM);
  EXPECT_TRUE(cancelled.wait_for("finishing what runs"));
  cancelled.signal(SIGTERM);
  long_one.read_all();
  EXPECT_EQ(cancelled.wait(), 0);
}

TEST(Serve, LooksForItsOptionsInTheEnvironment) {
  setenv("ORTHRUS_API_KEY", "one,two", 1);
  setenv("ORTHRUS_PORT", "1", 1);  // which the option is put before
  Serving serving({"--port=0"});
  unsetenv("ORTHRUS_API_KEY");
  unsetenv("ORTHRUS_PORT");
  const int port = serving.port();
  ASSERT_GT(port, 0) << serving.said();
  EXPECT_EQ(ask(port, "GET", "/props").status, 401);
  EXPECT_EQ(ask(port, "GET", "/props", "", "Authorization: Bearer two\r\n").status, 200);
  for (const char* const open : {"/health", "/ready", "/version", "/metrics"}) {
    EXPECT_EQ(ask(port, "GET", open).status, 200) << open;
  }
}

TEST(Serve, SaysWhatIsWrongAtTheStart) {
  setenv("ORTHRUS_PORT", "65536", 1);
  Serving bad_variable({});
  unsetenv("ORTHRUS_PORT");
  EXPECT_EQ(bad_variable.wait(), 2);
  EXPECT_EQ(bad_variable.said(),
            "orthrus: ORTHRUS_PORT is \"65536\"; valid is a whole number from 0 to 65535.\n");

  Serving bad_size({"--cache-memory", "4 bananas"});
  EXPECT_EQ(bad_size.wait(), 2);
  EXPECT_NE(bad_size.said().find("--cache-memory is \"4 bananas\"; valid is a size above 0"),
            std::string::npos)
      << bad_size.said();

  Serving first({"--port", "0"});
  const int port = first.port();
  Serving second({"--port", std::to_string(port)});
  EXPECT_EQ(second.wait(), 1);
  EXPECT_NE(second.said().find("Address already in use"), std::string::npos) << second.said();
}

// What `orthrus serve` with these options says, and how it ends.
void expect_usage_error(const std::vector<std::string>& options, const std::string& message) {
  Serving serving(options);
  EXPECT_EQ(serving.wait(), 2) << serving.said();
  EXPECT_NE(serving.said().find(message), std::string::npos) << serving.said();
}

TEST(Serve, AnEmptyKeyDoesNotOpenTheServer) {
  expect_usage_error({"--api-key", ""}, "--api-key: the key is empty.");
  setenv("ORTHRUS_API_KEY", "", 1);
  expect_usage_error({}, "ORTHRUS_API_KEY is empty; give it a value, or unset it.");
  setenv("ORTHRUS_API_KEY", "one,,two", 1);
  expect_usage_error({}, "ORTHRUS_API_KEY: the key is empty.");
  unsetenv("ORTHRUS_API_KEY");
}

TEST(Serve, TellsVariablesThatNothingReads) {
  setenv("ORTHRUS_MAX_QEUE", "3", 1);
  Serving serving({"--port", "0"});
  unsetenv("ORTHRUS_MAX_QEUE");
  ASSERT_GT(serving.port(), 0) << serving.said();
  EXPECT_NE(serving.said().find(
                " warning ORTHRUS_MAX_QEUE is not known; did you mean ORTHRUS_MAX_QUEUE?\n"),
            std::string::npos)
      << serving.said();
}

TEST(Serve, AnAddressIsAPortOrASocket) {
  expect_usage_error({"--port", "0", "--unix-socket", "s"},
                     "--port and --unix-socket cannot be given together.");
  setenv("ORTHRUS_UNIX_SOCKET", "s", 1);
  {
    Serving serving({"--port", "0"});  // words go before variables
    EXPECT_GT(serving.port(), 0) << serving.said();
  }
  setenv("ORTHRUS_PORT", "0", 1);
  expect_usage_error({}, "ORTHRUS_PORT and ORTHRUS_UNIX_SOCKET cannot be given together.");
  unsetenv("ORTHRUS_UNIX_SOCKET");
  unsetenv("ORTHRUS_PORT");
}

TEST(Serve, RefusesOriginsThatNoBrowserSends) {
  for (const char* const origin :
       {"", "foo bar", "localhost", "http://", "http://a/", "http://A", "http://a:", "http://a:x",
        "http://a b", "a b://c", "**", "http://[::1"}) {
    expect_usage_error({"--cors-origin", origin}, "; valid is *, null, or as browsers send it");
  }
  Serving serving({"--port", "0", "--cors-origin", "http://localhost:3000", "--cors-origin",
                   "app+x://a-b.c", "--cors-origin", "https://[::1]:8443", "--cors-origin", "*"});
  EXPECT_GT(serving.port(), 0) << serving.said();
}

TEST(Serve, WarnsOfOthersWhereItListens) {
  Serving first({"--port", "0"});
  Serving second({"--host", "0.0.0.0", "--port", std::to_string(first.port())});
  EXPECT_EQ(second.wait(), 1);
  EXPECT_EQ(second.said().find("whoever reaches"), std::string::npos) << second.said();
  Serving open({"--host", "0.0.0.0", "--port", "0"});
  EXPECT_TRUE(open.wait_for("whoever reaches this machine may use the model")) << open.said();
}

TEST(Serve, ASmallCacheIsToldAsSuch) {
  Serving serving({"--port", "0", "--cache-memory", "1MiB"});
  const int port = serving.port();
  ASSERT_GT(port, 0) << serving.said();
  EXPECT_NE(serving.said().find(" warning the cache holds less than the model's context"),
            std::string::npos)
      << serving.said();
  nlohmann::json ids = nlohmann::json::array();
  for (int i = 0; i < 2000; ++i) ids.push_back(5);
  const std::string body = nlohmann::json{{"prompt", ids}}.dump();
  const HttpResponse answer = ask(port, "POST", "/v1/completions", body);
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find("the server's cache (--cache-memory)"), std::string::npos)
      << answer.body;
}

TEST(Serve, AUnixSocketIsRemovedAtTheEnd) {
  const std::string path =
      std::filesystem::temp_directory_path() / fmt::format("orthrus-serve-{}", getpid());
  Serving serving({"--unix-socket", path});
  ASSERT_TRUE(serving.wait_for("serving at unix:")) << serving.said();
  HttpClient client(path);
  client.send(http_request("GET", "/ready"));
  EXPECT_EQ(client.read_response()->status, 200);
  serving.signal(SIGTERM);
  EXPECT_EQ(serving.wait(), 0);
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace orthrus::test
