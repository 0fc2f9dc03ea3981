// Everything that is wrong with a command line is told, with exit code 2.
#include <gtest/gtest.h>

#include "cli/run_orthrus.h"

namespace orthrus::test {
namespace {

using Arguments = std::vector<std::string>;

struct Case {
  Arguments arguments;
  int exit_code;
  std::string message;
};

void expect_all(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const ProcessResult result = run_orthrus(c.arguments);
    std::string line;
    for (const std::string& argument : c.arguments) {
      line += ' ';
      line += argument.substr(0, 80);
    }
    EXPECT_EQ(result.exit_code, c.exit_code) << line;
    EXPECT_EQ(result.out, "") << line;
    EXPECT_NE(result.err.find(c.message), std::string::npos)
        << line << "\nlacks: " << c.message << "\nit is: " << result.err;
    EXPECT_LT(result.err.size(), 2200u) << line;
  }
}

Arguments generate(Arguments more) {
  Arguments all = {"generate", "-m", kTinyCode};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

TEST(Usage, HelpAndVersion) {
  const ProcessResult version = run_orthrus({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_TRUE(version.out.starts_with("orthrus 0.")) << version.out;
  EXPECT_NE(version.out.find("8-bit products by"), std::string::npos) << version.out;
  for (const Arguments& help : {Arguments{"--help"},
                                {"generate", "--help"},
                                {"chat", "--help"},
                                {"inspect", "--help"},
                                {"tokenize", "--help"},
                                {"bench", "--help"}}) {
    const ProcessResult result = run_orthrus(help);
    EXPECT_EQ(result.exit_code, 0) << help[0];
    EXPECT_EQ(result.err, "");
    EXPECT_NE(result.out.find("Usage: orthrus"), std::string::npos) << result.out;
    if (help.size() > 1) {
      EXPECT_NE(result.out.find("EXAMPLES\n  orthrus " + help[0]), std::string::npos) << result.out;
    }
  }
  EXPECT_EQ(run_orthrus({"help"}).out, run_orthrus({"--help"}).out);
  EXPECT_EQ(run_orthrus({"help", "chat"}).out, run_orthrus({"chat", "--help"}).out);
  const ProcessResult nothing = run_orthrus({});
  EXPECT_EQ(nothing.exit_code, 2);
  EXPECT_EQ(nothing.out, "");
  EXPECT_NE(nothing.err.find("tokenize"), std::string::npos) << nothing.err;
}

TEST(Usage, Commands) {
  expect_all({
      {{"frob"}, 2, "\"frob\" is not a command; valid is one of generate, chat, inspect, tokenize"},
      {{""}, 2, "\"\" is not a command"},
      {{"help", "frob"}, 2, "\"frob\" is not a command"},
      {{"help", "chat", "bench"}, 2, "orthrus help takes one command at most"},
      {{"--frob"}, 2, "A subcommand is required"},
      {{"generate", "-p", "x"}, 2, "--model is required"},
      {generate({"-p", "x", "--frob"}), 2, "--frob"},
      {generate({"-p", "x", "more"}), 2, "not expected: more"},
      {generate({"-p", "x", "\x1b[2J"}), 2, "\\x1b[2J"},
      {generate({"-p", "x", std::string(100000, 'y')}), 2, "yyy..."},
  });
}

TEST(Usage, Numbers) {
  const std::string max_tokens = "; valid is a whole number from 1 to 2147483647.";
  expect_all({
      {generate({"-p", "x", "-n", "0"}), 2, "--max-tokens is \"0\"" + max_tokens},
      {generate({"-p", "x", "-n", "-1"}), 2, "--max-tokens is \"-1\"" + max_tokens},
      {generate({"-p", "x", "-n", "1e99"}), 2, "--max-tokens is \"1e99\"" + max_tokens},
      {generate({"-p", "x", "-n", "2147483648"}), 2, "\"2147483648\"" + max_tokens},
      {generate({"-p", "x", "-n", ""}), 2, "--max-tokens is \"\"" + max_tokens},
      {generate({"-p", "x", "-n", std::string(1000, '9')}), 2, "999\"..." + max_tokens},
      {generate({"-p", "x", "-n", "1", "-n", "2"}), 2, "--max-tokens"},
      {generate({"-p", "x", "--threads", "-1"}), 2,
       "--threads is \"-1\"; valid is a whole number from 0 to 1024."},
      {generate({"-p", "x", "--threads", "1025"}), 2, "--threads is \"1025\""},
      {generate({"-p", "x", "--prefill-chunk", "0"}), 2, "--prefill-chunk is \"0\"; valid is"},
      {generate({"-p", "x", "--temperature", "nan"}), 2,
       "--temperature is \"nan\"; valid is a number from 0 to 100."},
      {generate({"-p", "x", "--temperature", "inf"}), 2, "--temperature is \"inf\""},
      {generate({"-p", "x", "--temperature", "-1"}), 2, "--temperature is \"-1\""},
      {generate({"-p", "x", "--temperature", "1e99"}), 2, "--temperature is \"1e99\""},
      {generate({"-p", "x", "--top-k", "-1"}), 2, "--top-k is \"-1\"; valid is a whole number"},
      {generate({"-p", "x", "--top-p", "0"}), 2,
       "--top-p is \"0\"; valid is a number above 0, up to 1."},
      {generate({"-p", "x", "--top-p", "1.1"}), 2, "--top-p is \"1.1\""},
      {generate({"-p", "x", "--min-p", "2"}), 2,
       "--min-p is \"2\"; valid is a number from 0 to 1."},
      {generate({"-p", "x", "--seed", "-1"}), 2,
       "--seed is \"-1\"; valid is a whole number from 0 to 18446744073709551615, or random."},
      {generate({"-p", "x", "--seed", "18446744073709551616"}), 2, "--seed is"},
      {generate({"-p", "x", "--block-size", "1"}), 2, "--block-size is \"1\"; valid is"},
      {generate({"-p", "x", "--block-size", "17"}), 2, "is 17; valid is 2 to 16"},
      {{"bench", "-m", kTinyCode, "--repeat", "0"},
       2,
       "--repeat is \"0\"; valid is a whole number from 1 to 1000."},
  });
}

TEST(Usage, Words) {
  expect_all({
      {generate({"-p", "x", "--mode", "fast"}), 2,
       "--mode is \"fast\"; valid is ar, dual or auto."},
      {generate({"-p", "x", "--accept", ""}), 2, "--accept is \"\"; valid is match or rejection."},
      {generate({"-p", "x", "--color", "blue"}), 2,
       "--color is \"blue\"; valid is auto, always or never."},
      {{"chat", "-m", kTinyCode, "--chat-format", "llama"},
       2,
       "--chat-format is \"llama\"; valid is auto, chatml, qwen2, qwen2.5, qwen3, "
       "qwen3-instruct-2507 or qwen3-thinking-2507."},
      {generate({"-p", "x", "--device", "gpu"}), 2,
       "--device is \"gpu\"; valid is cpu, cuda or cuda:N."},
      {generate({"-p", "x", "--device", "cuda:"}), 2, "--device is \"cuda:\""},
      {generate({"-p", "x", "--device", "cuda:-1"}), 2, "--device is \"cuda:-1\""},
      {generate({"-p", "x", "--device", "cuda:1x"}), 2, "--device is \"cuda:1x\""},
      {generate({"-p", "x", "--device", "cuda", "--weights", "q8_0"}), 2,
       "weights is Q8_0; valid is BF16 on a CUDA device."},
      {generate({"-p", "x", "--device", "cuda", "--kv-cache", "f32"}), 2, "kv_cache is F32"},
      {generate({"-p", "x", "--device", "cuda:999"}), 1, "CUDA device"},
      {generate({"-p", "x", "--mode", "ar", "--block-size", "8"}), 2,
       "block_size is 8, but mode ar drafts no blocks"},
      {generate({"-p", "x", "--stop", ""}), 2, "stop string is empty"},
      {generate({"-p", "x", "--stop"}), 2, "--stop"},
      {generate({"-p", "x", "--accept", "rejection", "--temperature", "1", "--compare-ar"}), 2,
       "--compare-ar needs --accept match, or --temperature 0"},
  });
}

TEST(Usage, Prompts) {
  expect_all({
      {generate({"-p", "x", "-f", "y"}), 2,
       "Only one of --prompt, --file and --prompt-ids can be given; 2 were."},
      {generate({"-p", "x", "-f", "y", "--prompt-ids", "1"}), 2, "3 were"},
      {generate({"-p", ""}), 2, "The prompt is empty"},
      {generate({}), 2, "The prompt is empty"},  // standard input has ended
      {generate({"-p", "abc\xff"}), 2, "byte 3 (0xff)"},
      {generate({"-p", std::string(10000, 'x') + " y"}), 2, "context of 2048"},
      {generate({"--prompt-ids", "1,x"}), 2, "--prompt-ids: item 2 is \"x\"; valid is a token id"},
      {generate({"--prompt-ids", ""}), 2, "--prompt-ids: item 1 is \"\""},
      {generate({"--prompt-ids", "1,"}), 2, "--prompt-ids: item 2 is \"\""},
      {generate({"--prompt-ids", "-5"}), 2, "--prompt-ids: item 1 is \"-5\""},
      {generate({"--prompt-ids", "99999999999"}), 2, "--prompt-ids: item 1 is \"99999999999\""},
      {generate({"--prompt-ids", "1,8192"}), 2, "id 8192; this model's ids are 0 to 8191"},
      {generate({"-f", "/does/not/exist"}), 1, "Cannot read /does/not/exist: No such file"},
      {generate({"-f", ORTHRUS_MODELS}), 1, "Is a directory"},
      {{"generate", "-m", kGolden, "-p", "x"}, 2, "has no tokenizer"},
      {{"generate", "-m", kGolden, "--prompt-ids", "1", "--stop", "x"},
       2,
       "Stop strings need a tokenizer"},
  });
}

TEST(Usage, Models) {
  expect_all({
      {{"generate", "-m", "/does/not/exist", "-p", "x"}, 1, "/does/not/exist: is not there"},
      {{"inspect", "-m", ""}, 2, "--model: the name is empty"},
      {{"generate", "-m", "", "-p", "x"}, 2, "--model: the name is empty"},
      {{"tokenize", "-m", "", "-p", "x"}, 2, "--model: the name is empty"},
      {generate({"-f", ""}), 2, "--file: the name is empty"},
      {{"inspect", "-m", "/does/not/exist"}, 1, "/does/not/exist: is not there"},
      {{"chat", "-m", "/does/not/exist", "--chat-format", "qwen3"}, 1, "/does/not/exist"},
      {{"tokenize", "-m", "/does/not/exist", "-p", "x"}, 1, "/does/not/exist: is not there"},
  });
}

TEST(Usage, ChatOptionsThatDoNotFitTheModel) {
  const ProcessResult result =
      run_orthrus({"chat", "-m", kTinyCode, "--chat-format", "qwen3", "--block-size", "99"},
                  {.input = "hello\n"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("is 99; valid is 2 to 16"), std::string::npos) << result.err;
}

TEST(Usage, Tokenize) {
  expect_all({
      {{"tokenize", "-p", "x"}, 2, "Give either --model or --tokenizer."},
      {{"tokenize", "-m", kTinyCode, "--tokenizer", "x", "-p", "x"}, 2, "Give either"},
      {{"tokenize", "-m", kTinyCode, "-p", "x", "--decode", "1"}, 2, "Only one of"},
      {{"tokenize", "-m", kTinyCode, "--decode", "1,8192"},
       2,
       "--decode: item 2 is 8192; this tokenizer's ids are 0 to 8191."},
      {{"tokenize", "-m", kTinyCode, "--decode", "a"}, 2, "--decode: item 1 is \"a\""},
      {{"tokenize", "-m", kTinyCode, "-p", "\xff"}, 2, "byte 0 (0xff)"},
      {{"tokenize", "-m", kTinyCode, "-p", "x", "--count", "--json"}, 2, "excludes"},
  });
}

}  // namespace
}  // namespace orthrus::test
