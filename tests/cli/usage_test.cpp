// Everything that is wrong with a command line is told, with exit code 2.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <sstream>

#include "cli/run_orthrus.h"

namespace orthrus::test {
namespace {

using Arguments = std::vector<std::string>;

const Arguments kCommands = {"generate", "chat",  "serve",     "inspect",
                             "tokenize", "bench", "perplexity"};

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
  for (const char* const part : {"\nbuild      ", "\nCUDA       "}) {
    EXPECT_NE(version.out.find(part), std::string::npos) << version.out;
  }
  std::istringstream lines(version.out);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
  const std::string help = run_orthrus({"--help"}).out;
  for (const Arguments& words :
       {Arguments{"help"}, {"-h"}, {"help", "help"}, {"help", "--help"}, {"--help", "help"}}) {
    EXPECT_EQ(run_orthrus(words).out, help) << words[0];
  }
  for (const std::string& command : kCommands) {
    const std::string expected = run_orthrus({command, "--help"}).out;
    EXPECT_NE(expected.find("Usage: orthrus " + command), std::string::npos) << expected;
    EXPECT_NE(expected.find("EXAMPLES\n  orthrus " + command), std::string::npos) << expected;
    EXPECT_NE(help.find("\n  " + command + " "), std::string::npos) << help;
    for (const Arguments& words : {Arguments{"help", command},
                                   {"--help", command},
                                   {"-h", command},
                                   {command, "help"},
                                   {command, "-h"},
                                   {command, "--frob", "more", "--help", "--json=3"}}) {
      const ProcessResult result = run_orthrus(words);
      EXPECT_EQ(result.exit_code, 0) << words[0] << " " << words[1];
      EXPECT_EQ(result.err, "");
      EXPECT_EQ(result.out, expected) << words[0] << " " << words[1];
    }
  }
  const ProcessResult nothing = run_orthrus({});
  EXPECT_EQ(nothing.exit_code, 2);
  EXPECT_EQ(nothing.out, "");
  EXPECT_NE(nothing.err.find("tokenize"), std::string::npos) << nothing.err;
}

// The columns that a text takes on a terminal.
size_t columns_of(const std::string& line) {
  return static_cast<size_t>(
      std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string without_spaces(std::string text) {
  std::erase_if(text, [](char c) { return c == ' ' || c == '\n' || c == '\\'; });
  return text;
}

TEST(Usage, HelpFitsTheTerminal) {
  for (const std::string& command : kCommands) {
    unsetenv("COLUMNS");
    const std::string usual = run_orthrus({command, "--help"}).out;
    for (const size_t columns : {60, 80, 120}) {
      setenv("COLUMNS", std::to_string(columns).c_str(), 1);
      const std::string help = run_orthrus({command, "--help"}).out;
      EXPECT_EQ(without_spaces(help), without_spaces(usual)) << "words are whole";
      if (columns == 80) {
        EXPECT_EQ(help, usual);
      }
      std::istringstream lines(help);
      for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(columns_of(line), columns) << line;
        EXPECT_FALSE(line.ends_with(' ')) << line;
      }
    }
    unsetenv("COLUMNS");
  }
}

TEST(Usage, Commands) {
  expect_all({
      {{"frob"},
       2,
       "\"frob\" is not a command; valid is one of generate, chat, serve, inspect, tokenize"},
      {{"generat"}, 2, "\"generat\" is not a command; did you mean generate?"},
      {{"Bench"}, 2, "\"Bench\" is not a command; did you mean bench?"},
      {{"version"}, 2, "\"version\" is not a command; did you mean --version?"},
      {{""}, 2, "\"\" is not a command"},
      {{"é\xff\n"}, 2, "\"é\\xff\\n\" is not a command"},
      {{"help", "frob"}, 2, "\"frob\" is not a command"},
      {{"--help", "tokenise"}, 2, "did you mean tokenize?"},
      {{"help", "chat", "bench"}, 2, "orthrus help takes one command at most"},
      {{"--frob"}, 2, "orthrus has no option --frob.\nSee orthrus --help."},
      {{"--verison"}, 2, "orthrus has no option --verison; did you mean --version?"},
      {{"-m", "x", "generate", "-p", "x"},
       2,
       "The command comes first, its options behind it: orthrus generate -m ..."},
      {{"--model=x"}, 2, "The command is missing; it comes before its options: orthrus generate"},
  });
}

TEST(Usage, UnknownOptions) {
  const auto none = [](const std::string& typed, const std::string& meant) {
    return "generate has no option " + typed +
           (meant.empty() ? "." : "; did you mean " + meant + "?") + "\n";
  };
  expect_all({
      {generate({"-p", "x", "--frob"}), 2, none("--frob", "") + "See orthrus generate --help."},
      {{"tokenize", "--frob"}, 2, "See orthrus tokenize --help."},
      {generate({"--temp", "0.5", "--max_token=3", "--FILE"}), 2,
       none("--temp", "--temperature") + "generate has no option --max_token; did you mean "
                                         "--max-tokens?\ngenerate has no option --FILE"},
      {generate({"--tokens", "5"}), 2, none("--tokens", "--max-tokens")},
      {generate({"--n-threads", "5"}), 2, none("--n-threads", "--threads")},
      {generate({"--tpo-p", "5"}), 2, none("--tpo-p", "--top-p")},
      {generate({"-temperature", "5"}), 2, none("-temperature", "--temperature")},
      {{"generate", "-model", "x"}, 2, none("-model", "--model")},
      {generate({"-x"}), 2, "generate has no option -x"},
      {generate({"-p", "x", "--\x1b[2J"}), 2, "no option \"--\\x1b[2J\"."},
      {generate({"-p", "x", "--" + std::string(100000, 'y')}), 2, "yyy\"..."},
      {{"bench", "-m", kTinyCode, "--compare-ar"}, 2, "bench has no option --compare-ar"},
      {generate({"--a", "--b", "--c", "--d", "--e", "--f"}), 2,
       "no option --d.\nAnd 2 such faults more.\nSee orthrus generate --help."},
  });
}

TEST(Usage, UnexpectedWords) {
  expect_all({
      {{"generate", kTinyCode, "-p", "x"},
       2,
       "\" belongs to no option; is it the value of -m MODEL?\nSee orthrus generate --help."},
      {generate({"x"}), 2, "\"x\" belongs to no option; is it the value of -p TEXT?"},
      {generate({"-p", "two", "words", "more"}), 2,
       "orthrus: \"words\" belongs to no option; a text of several words is put in quotes: "
       "--prompt 'two words'.\nSee"},
      {generate({"-p", "x", "--json", "--", "-n"}), 2, "\"-n\" belongs to no option"},
      {generate({"-p", "x", std::string(100000, 'y')}), 2, "yyy\"..."},
      {generate({"-p", "x", "\x1b[2J"}), 2, "\\x1b[2J"},
      {generate({"-p", "x", ""}), 2, "\"\" belongs to no option"},
      {{"inspect", "-m", kTinyCode, "more"}, 2, "\"more\" belongs to no option.\n"},
      {{"perplexity", "-m", "x", "text"}, 2, "is it the value of -f FILE?"},
  });
}

TEST(Usage, OptionsThatDoNotFitEachOther) {
  expect_all({
      {{"generate", "-p", "x"}, 2, "--model is missing: generate needs -m MODEL."},
      {{"perplexity"}, 2, "--model is missing: perplexity needs -m MODEL.\n--file is missing"},
      {generate({"-p", "x", "--prompt", "y"}), 2, "--prompt is given 2 times; give it once.\nSee"},
      {generate({"-n", "1", "-n2", "--max-tokens=3"}), 2, "--max-tokens is given 3 times"},
      {generate({"-p", "x", "--stop"}), 2, "--stop needs a value: --stop TEXT."},
      {generate({"-n"}), 2, "-n needs a value: -n N."},
      {generate({"-p", "x", "--json="}), 2, "--json takes no value; leave out \"=\"."},
      {generate({"-p", "x", "--json=false"}), 2, "--json takes no value; leave out \"=\"."},
      {{"generate", "-m=x"}, 2, "-m=x: write -m x, or --model=x."},
      {{"tokenize", "-m", kTinyCode, "-p", "x", "--count", "--json"},
       2,
       "--count and --json cannot be given together."},
      {{"bench", "-m", kTinyCode, "--rows", "1"}, 2, "--rows goes with --roofline only."},
      {{"bench", "--roofline", "--prompt-ids", "1"}, 2, "cannot be given together."},
  });
  expect_all({
      {{"bench", "-m", kTinyCode, "--roofline", "--rows="}, 2, "--rows: the list is empty."},
      {{"bench", "-m", kTinyCode, "--roofline", "--rows", "[1, x]"}, 2, "--rows: item 2 is \"x\""},
  });
  const ProcessResult twice = run_orthrus({"inspect", "-m", kTinyCode, "--json", "--json"});
  EXPECT_EQ(twice.exit_code, 0) << twice.err;
}

// The options of a command that take a value, as its help lists them.
Arguments options_with_values(const std::string& command) {
  Arguments options;
  std::istringstream help(run_orthrus({command, "--help"}).out);
  for (std::string line; std::getline(help, line);) {
    const size_t begin = line.find("--");
    if (!line.starts_with("  ") || begin > 6) continue;
    const size_t end = line.find(' ', begin);
    const bool has_type = end + 1 < line.size() && line[end + 1] >= 'A' && line[end + 1] <= 'Z';
    if (has_type) options.push_back(line.substr(begin, end - begin));
  }
  return options;
}

TEST(Usage, AnEmptyValueIsAValue) {
  size_t seen = 0;
  for (const std::string& command : kCommands) {
    for (const std::string& option : options_with_values(command)) {
      ++seen;
      // Were the next word taken as the value, it could not be named.
      const ProcessResult unknown = run_orthrus({command, option + "=", "--frobnicate"});
      EXPECT_NE(unknown.err.find("has no option --frobnicate"), std::string::npos)
          << command << " " << option << ": " << unknown.err;
      Arguments words = {command, option + "="};
      Arguments apart = {command, option, ""};
      for (Arguments* const w : {&words, &apart}) {
        if (option != "--model") w->insert(w->end(), {"-m", kGolden});
        if (command == "perplexity" && option != "--file") w->insert(w->end(), {"-f", "/dev/null"});
      }
      const ProcessResult result = run_orthrus(words);
      const ProcessResult expected = run_orthrus(apart);
      EXPECT_EQ(result.exit_code, expected.exit_code) << command << " " << option;
      EXPECT_EQ(result.err, expected.err) << command << " " << option;
      EXPECT_EQ(result.out, expected.out) << command << " " << option;
    }
  }
  EXPECT_GT(seen, 60u);
}

TEST(Usage, ValuesAreTakenAsTheyAre) {
  const Arguments tokenize = {"tokenize", "-m", kTinyCode, "--json"};
  const auto ids_of = [&](const Arguments& more) {
    Arguments words = tokenize;
    words.insert(words.end(), more.begin(), more.end());
    return run_orthrus(words, {.input = "IN"}).out;
  };
  EXPECT_EQ(ids_of({"--prompt="}), "[]\n");
  EXPECT_EQ(ids_of({"-p", ""}), "[]\n");
  for (const std::string text : {"--json", "--", "-n", "=", "a=b", "[1,2]", "{}", "'x'", " "}) {
    const std::string ids = ids_of({"-p", text});
    EXPECT_EQ(ids_of({"--prompt=" + text}), ids) << text;
    EXPECT_EQ(run_orthrus(tokenize, {.input = text}).out, ids) << text;
    if (text[0] != '=') {
      EXPECT_EQ(ids_of({"-p" + text}), ids) << text;
    }
  }
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
      {generate({"-p", "x", "--threads", "-1"}), 2,
       "--threads is \"-1\"; valid is a whole number from 0 to 1024."},
      {generate({"-p", "x", "--threads", "1025"}), 2, "--threads is \"1025\""},
      {generate({"-p", "x", "--prefill-chunk", "0"}), 2, "--prefill-chunk is \"0\"; valid is"},
      {generate({"-p", "x", "--temperature", "nan"}), 2,
       "--temperature is \"nan\"; valid is a number from 0 to 100."},
      {generate({"-p", "x", "--temperature", "inf"}), 2, "--temperature is \"inf\""},
      {generate({"-p", "x", "--temperature", "-1"}), 2, "--temperature is \"-1\""},
      {generate({"-p", "x", "--temperature", "-1e-50"}), 2, "--temperature is \"-1e-50\""},
      {generate({"-p", "x", "--temperature", "1e99"}), 2, "--temperature is \"1e99\""},
      {generate({"-p", "x", "--top-k", "-1"}), 2, "--top-k is \"-1\"; valid is a whole number"},
      {generate({"-p", "x", "--top-p", "0"}), 2,
       "--top-p is \"0\"; valid is a number above 0, up to 1."},
      {generate({"-p", "x", "--top-p", "1.1"}), 2, "--top-p is \"1.1\""},
      {generate({"-p", "x", "--min-p", "2"}), 2,
       "--min-p is \"2\"; valid is a number from 0 to 1."},
      {generate({"-p", "x", "--seed", "-9223372036854775809"}), 2,
       "--seed is \"-9223372036854775809\"; valid is a whole number from -9223372036854775808 to "
       "18446744073709551615, or random."},
      {generate({"-p", "x", "--seed", "18446744073709551616"}), 2, "--seed is"},
      {generate({"-p", "x", "--lookup", "yes"}), 2, "--lookup is \"yes\"; valid is on or off"},
      {generate({"-p", "x", "--block-size", "1"}), 2, "--block-size is \"1\"; valid is"},
      {generate({"-p", "x", "--block-size", "17"}), 2,
       "orthrus: --block-size is 17; valid is 2 to 16"},
      {generate({"-p", "x", "--tree-nodes", "129"}), 2, "--tree-nodes is \"129\"; valid is"},
      {generate({"-p", "x", "--tree-nodes", "1"}), 2,
       "orthrus: --tree-nodes is 1; valid is 2 to 128, or 0 for chains."},
      {generate({"-p", "x", "--tree-nodes", "8", "--mode", "ar"}), 2,
       "--tree-nodes is 8, but mode ar drafts no trees."},
      {{"bench", "-m", kTinyCode, "--repeat", "0"},
       2,
       "--repeat is \"0\"; valid is a whole number from 1 to 1000."},
  });
}

TEST(Usage, NumbersAsPeopleWriteThem) {
  const auto ids_of = [](Arguments more) {
    more.insert(more.end(), {"-n", "3"});
    const ProcessResult result = run_orthrus(generate(std::move(more)), {.input = "def f"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  };
  const std::string greedy = ids_of({});
  for (const std::string text : {"1e-50", "1e-99999", "-0", "+0", "0.", ".0", " 0", "1e-44"}) {
    EXPECT_EQ(ids_of({"--temperature", text}), greedy) << text;
  }
  for (const std::string text :
       {"1e-99999", "1e-50", "1e-44", "1e-38", "+.000001"}) {  // keeps the likeliest
    EXPECT_EQ(ids_of({"--temperature", "+1", "--top-p", text}), greedy) << text;
  }
  EXPECT_EQ(ids_of({"--temperature", "1.", "--top-k", "+1"}), greedy);
  EXPECT_EQ(ids_of({"--temperature", "1e2", "--top-k", " 1", "--seed", "+7"}), greedy);
}

TEST(Usage, Words) {
  expect_all({
      {generate({"-p", "x", "--mode", "fast"}), 2,
       "--mode is \"fast\"; valid is ar, dual or auto."},
      {generate({"-p", "x", "--mode", "AR", "--weights", "BF16", "--block-size", "8"}), 2,
       "--block-size is 8, but mode ar"},
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
      {generate({"-p", "x", "--device", "cuda", "--weights", "f16"}), 2,
       "--weights is F16; valid is BF16, Q8_0 or native on a CUDA device."},
      {generate({"-p", "x", "--weights", "q4_k"}), 2,
       "--weights is \"q4_k\"; valid is f32, f16, bf16, q8_0 or native."},
      {generate({"-p", "x", "--draft-weights", "file"}), 2,
       "--draft-weights is \"file\"; valid is f32, f16, bf16, q8_0 or native."},
      {generate({"-p", "x", "--device", "cuda", "--kv-cache", "f32"}), 2, "--kv-cache is F32"},
      {generate({"-p", "x", "--device", "cuda:999"}), 1, "CUDA device"},
      {generate({"-p", "x", "--mode", "ar", "--block-size", "8"}), 2,
       "--block-size is 8, but mode ar drafts no blocks"},
      {generate({"-p", "x", "--stop", ""}), 2, "--stop: the text is empty"},
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
      {generate({"-p", "abc\xff"}), 2,
       "--prompt is not valid UTF-8: no character starts at byte 3"},
      {generate({"-p", std::string(10000, 'x') + " y"}), 2, "context of 2048"},
      {generate({"--prompt-ids", "1,x"}), 2, "--prompt-ids: item 2 is \"x\"; valid is a token id"},
      {generate({"--prompt-ids", ""}), 2, "The prompt is empty"},
      {generate({"--prompt-ids", "1,"}), 2, "--prompt-ids: item 2 is \"\""},
      {generate({"--prompt-ids", "-5"}), 2, "--prompt-ids: item 1 is \"-5\""},
      {generate({"--prompt-ids", "99999999999"}), 2, "--prompt-ids: item 1 is \"99999999999\""},
      {generate({"--prompt-ids", "1,8192"}), 2, "id 8192; this model's ids are 0 to 8191"},
      {generate({"-f", "/does/not/exist"}), 1, "Cannot read /does/not/exist: No such file"},
      {generate({"-f", ORTHRUS_MODELS}), 1, "Is a directory"},
      {generate({"--prompt-ids", "@" ORTHRUS_MODELS}), 1, "Is a directory"},
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
      {{"chat", "-m", "/does/not/exist", "--chat-format", "qwen3", "-p", "x"},
       1,
       "/does/not/exist"},
      {{"tokenize", "-m", "/does/not/exist", "-p", "x"}, 1, "/does/not/exist: is not there"},
  });
}

TEST(Usage, ChatOptionsThatDoNotFitTheModel) {
  const ProcessResult result =
      run_orthrus({"chat", "-m", kTinyCode, "--chat-format", "qwen3", "--block-size", "99"},
                  {.input = "hello\n"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("--block-size is 99; valid is 2 to 16"), std::string::npos)
      << result.err;
}

TEST(Usage, Tokenize) {
  expect_all({
      {{"tokenize", "-p", "x"}, 2, "Give either --model or --tokenizer."},
      {{"tokenize", "-m", kTinyCode, "--tokenizer", "x", "-p", "x"}, 2, "Give either"},
      {{"tokenize", "-m", kTinyCode, "-p", "x", "--decode", "1"}, 2, "Only one of"},
      {{"tokenize", "-m", kTinyCode, "--decode", "1,8192"},
       2,
       "--decode: item 2 is 8192; this model's ids are 0 to 8191."},
      {{"tokenize", "-m", kTinyCode, "--decode", "a"}, 2, "--decode: item 1 is \"a\""},
      {{"tokenize", "-m", kTinyCode, "-p", "\xff"}, 2, "--prompt is not valid UTF-8"},
  });
  EXPECT_EQ(run_orthrus({"tokenize", "-m", kTinyCode}, {.input = "a\xff"}).err,
            "orthrus: Standard input is not valid UTF-8: no character starts at byte 1 (0xff).\n");
}

}  // namespace
}  // namespace orthrus::test
