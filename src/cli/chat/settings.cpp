#include "cli/chat/settings.h"

#include <fmt/core.h>

#include <algorithm>

#include "cli/suggest.h"
#include "cli/text.h"
#include "orthrus/error.h"

namespace orthrus::cli {
namespace {

std::vector<std::string> names_in(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    if (option != app.get_help_ptr()) names.push_back(option->get_lnames().front());
  }
  return names;
}

CLI::Option& option_named(CLI::App& app, std::string_view name) {
  std::string plain(name.substr(std::min(name.find_first_not_of('-'), name.size())));
  std::replace(plain.begin(), plain.end(), '_', '-');
  const std::vector<std::string> names = names_in(app);
  if (std::find(names.begin(), names.end(), plain) == names.end()) {
    throw Error(ErrorKind::kUsage, fmt::format("{} is not a setting{} /set alone lists them.",
                                               in_quotes(name), did_you_mean(plain, names)));
  }
  return *app.get_option("--" + plain);
}

std::string in_words(std::string_view name, const GenerateOptions& options) {
  const SamplingParams& sampling = options.sampling;
  if (name == "temperature") return fmt::format("{}", sampling.temperature);
  if (name == "top-k") return fmt::format("{}", sampling.top_k);
  if (name == "top-p") return fmt::format("{}", sampling.top_p);
  if (name == "min-p") return fmt::format("{}", sampling.min_p);
  if (name == "repetition-penalty") return fmt::format("{}", sampling.repetition_penalty);
  if (name == "presence-penalty") return fmt::format("{}", sampling.presence_penalty);
  if (name == "frequency-penalty") return fmt::format("{}", sampling.frequency_penalty);
  if (name == "seed") return fmt::format("{}", sampling.seed);
  if (name == "mode") return std::string(name_of(options.mode.value_or(Mode::kAuto)));
  if (name == "lookup") return options.lookup ? "on" : "off";
  if (name == "accept") return options.accept == AcceptRule::kMatch ? "match" : "rejection";
  if (name == "max-tokens") return fmt::format("{}", options.max_tokens);
  if (name == "block-size") {
    return options.block_size > 0 ? fmt::format("{}", options.block_size) : "the checkpoint's";
  }
  if (name == "tree-nodes") {
    const bool usual = options.mode.value_or(Mode::kAuto) == Mode::kAuto;
    return fmt::format("{}", options.tree_nodes.value_or(usual ? kUsualTreeNodes : 0));
  }
  if (name == "prefill-chunk") {
    return options.prefill_chunk > 0 ? fmt::format("{}", options.prefill_chunk)
                                     : "what suits the device";
  }
  if (name == "stop") {
    std::string texts;
    for (const std::string& text : options.stop)
      texts += (texts.empty() ? "" : " ") + in_quotes(text);
    return texts.empty() ? "none" : texts;
  }
  return "";
}

}  // namespace

void ChatSettings::add_to(CLI::App& app) {
  add_count(app, "-n,--max-tokens", max_tokens_,
            "Most tokens of a reply; the context may end it before");
  app.add_option(
         "--stop", stop_,
         "End a reply before this string or special token; again for another: --stop A --stop B")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  decoding_.add_to(app);
}

void ChatSettings::set(std::string_view name, const std::string& value) {
  ChatSettings changed = *this;
  CLI::App app;
  changed.add_to(app);
  CLI::Option& option = option_named(app, name);
  try {
    option.add_result(value);
    option.run_callback();
  } catch (const CLI::Error& error) {
    throw Error(ErrorKind::kUsage, error.what());
  }
  decoding_ = changed.decoding_;
  max_tokens_ = changed.max_tokens_;
  stop_ = changed.stop_;
  std::erase(stop_, "");  // /set stop "" sets none
}

std::string ChatSettings::table(const ModelConfig& config) const {
  ChatSettings copy = *this;
  CLI::App app;
  copy.add_to(app);
  const GenerateOptions options = resolve(config);
  std::string text;
  for (const std::string& name : names_in(app)) {
    text += fmt::format("{:<19}{}\n", name, in_words(name, options));
  }
  return text;
}

std::string ChatSettings::line(std::string_view name, const ModelConfig& config) const {
  ChatSettings copy = *this;
  CLI::App app;
  copy.add_to(app);
  const CLI::Option& option = option_named(app, name);
  const std::string& known = option.get_lnames().front();
  return fmt::format("{:<19}{}\n{}.\n", known, in_words(known, resolve(config)),
                     option.get_description());
}

GenerateOptions ChatSettings::resolve(const ModelConfig& config) const {
  GenerateOptions options = decoding_.resolve(config);
  options.max_tokens = max_tokens_;
  options.stop.insert(options.stop.end(), stop_.begin(), stop_.end());  // to the checkpoint's
  return options;
}

}  // namespace orthrus::cli
