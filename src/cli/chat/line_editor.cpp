#include "cli/chat/line_editor.h"

#include <fmt/core.h>
#include <histedit.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <exception>
#include <new>
#include <optional>
#include <system_error>
#include <utility>

#include "cli/chat/marks.h"
#include "cli/chat/paste.h"
#include "cli/chat/screen.h"
#include "cli/chat/terminal_input.h"
#include "cli/text.h"
#include "cli/utf8.h"

namespace orthrus::cli {
namespace {

constexpr int kMostRemembered = 1000;

// libedit takes characters and their widths from the C library's locale. What is typed here is
// UTF-8 whatever the user's is, as all text of this program.
void use_utf8() {
  if (std::setlocale(LC_CTYPE, "C.UTF-8") == nullptr) std::setlocale(LC_CTYPE, "C.utf8");
}

}  // namespace

struct LineEditor::Impl {
  Impl();
  ~Impl();

  static Impl& of(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return *static_cast<Impl*>(self);
  }

  void bind_keys();
  std::wstring_view typed() const {
    const LineInfoW* const line = el_wline(editor);
    return {line->buffer, static_cast<size_t>(line->lastchar - line->buffer)};
  }
  std::wstring_view typed_before_cursor() const {
    const LineInfoW* const line = el_wline(editor);
    return {line->buffer, static_cast<size_t>(line->cursor - line->buffer)};
  }
  void write(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), screen);
    std::fflush(screen);
  }
  void bracket_pastes(bool on) {
    if (!plain) write(on ? kBracketPastes : kPlainPastes);
  }
  // In which row below the prompt the cursor is, now that the terminal has `now` columns.
  int row_of_cursor(int now) const;
  void redraw(int rows_below_prompt);
  std::optional<wchar_t> next_character();  // none at the end
  void go_on();

  // What is drawn for `text`: libedit cannot show the beginning of what does not fit the screen, so
  // that a mark stands for what would fill half of it.
  std::string drawn(const std::string& text);

  // Keys.
  unsigned char interrupt();
  unsigned char end_or_delete();
  unsigned char insert_paste();
  unsigned char new_line() { return el_winsertstr(editor, L"\n") == 0 ? CC_REFRESH : CC_ERROR; }
  unsigned char stop_process();

  // What libedit calls. It is C, which nothing can be thrown through: that waits until read() ends.
  template <typename Result>
  Result caught(Result (Impl::*call)(), Result after_throw) {
    try {
      return (this->*call)();
    } catch (...) {
      thrown = std::current_exception();
      return after_throw;
    }
  }
  template <unsigned char (Impl::*key)()>
  static unsigned char on_key(EditLine* editor, wint_t) {
    return of(editor).caught<unsigned char>(key, CC_EOF);
  }

  FILE* screen = nullptr;
  EditLine* editor = nullptr;
  HistoryW* history = nullptr;
  TerminalInput input{STDIN_FILENO};
  TerminalSignals* signals = nullptr;  // while a line is read
  Marks marks;
  std::string prompt;
  std::string last_drawn, last_text;  // the line read last, with marks and without
  TypedLine::End end = TypedLine::End::kEntered;
  int end_signal = 0;    // of kTerminated
  int columns = 80;      // of the terminal, when the line was drawn
  bool stopped = false;  // by Ctrl-Z; the signal that goes on is still to come
  bool plain = false;    // the terminal knows no escapes
  std::exception_ptr thrown;
};

LineEditor::Impl::Impl() {
  use_utf8();
  const char* const kind = std::getenv("TERM");
  plain = kind == nullptr || std::string_view(kind) == "dumb";
  // A buffered stream of its own: libedit writes byte by byte.
  const int copy = ::dup(STDERR_FILENO);
  screen = copy < 0 ? nullptr : ::fdopen(copy, "w");
  if (screen == nullptr) {
    const int error = errno;
    if (copy >= 0) ::close(copy);
    throw std::system_error(error, std::generic_category(), "Cannot write to the terminal");
  }
  editor = el_init("orthrus", stdin, screen, screen);
  history = history_winit();
  if (editor == nullptr || history == nullptr) throw std::bad_alloc();
  el_set(editor, EL_CLIENTDATA, this);
  el_set(editor, EL_SIGNAL, 0);
  el_set(editor, EL_EDITOR, "emacs");
  el_set(editor, EL_PROMPT, static_cast<char* (*)(EditLine*)>([](EditLine* edited) {
           return of(edited).prompt.data();
         }));
  el_wset(editor, EL_GETCFN,
          static_cast<int (*)(EditLine*, wchar_t*)>([](EditLine* edited, wchar_t* character) {
            const std::optional<wchar_t> next =
                of(edited).caught<std::optional<wchar_t>>(&Impl::next_character, std::nullopt);
            *character = next.value_or(L'\0');
            return next ? 1 : 0;
          }));
  HistEventW event;
  history_w(history, &event, H_SETSIZE, kMostRemembered);
  history_w(history, &event, H_SETUNIQUE, 1);
  el_wset(editor, EL_HIST, history_w, history);
  bind_keys();
}

LineEditor::Impl::~Impl() {
  if (editor != nullptr) el_end(editor);
  if (history != nullptr) history_wend(history);
  if (screen != nullptr) std::fclose(screen);
}

void LineEditor::Impl::bind_keys() {
  using Function = unsigned char (*)(EditLine*, wint_t);
  const auto add = [this](const wchar_t* name, const wchar_t* help, Function function) {
    el_wset(editor, EL_ADDFN, name, help, function);
  };
  add(L"chat-interrupt", L"Leave the line", on_key<&Impl::interrupt>);
  add(L"chat-end-or-delete", L"End the chat, or delete", on_key<&Impl::end_or_delete>);
  add(L"chat-new-line", L"Begin another line", on_key<&Impl::new_line>);
  add(L"chat-paste", L"Pasted text", on_key<&Impl::insert_paste>);
  add(L"chat-stop", L"Stop the process", on_key<&Impl::stop_process>);
  constexpr std::pair<const char*, const char*> kKeys[] = {
      {"^C", "chat-interrupt"},
      {"^D", "chat-end-or-delete"},
      {"^Z", "chat-stop"},
      {"\\e[200~", "chat-paste"},
      {"\\e^M", "chat-new-line"},
      {"\\e^J", "chat-new-line"},
      {"^R", "em-inc-search-prev"},
      {"^S", "em-inc-search-next"},
      {"^U", "vi-kill-line-prev"},
      {"^W", "ed-delete-prev-word"},
      {"\\e[A", "ed-prev-history"},
      {"\\eOA", "ed-prev-history"},
      {"\\e[B", "ed-next-history"},
      {"\\eOB", "ed-next-history"},
      {"\\e[C", "ed-next-char"},
      {"\\eOC", "ed-next-char"},
      {"\\e[D", "ed-prev-char"},
      {"\\eOD", "ed-prev-char"},
      {"\\e[1;5C", "em-next-word"},
      {"\\e[1;5D", "ed-prev-word"},
      {"\\e[1~", "ed-move-to-beg"},
      {"\\e[7~", "ed-move-to-beg"},
      {"\\e[H", "ed-move-to-beg"},
      {"\\eOH", "ed-move-to-beg"},
      {"\\e[4~", "ed-move-to-end"},
      {"\\e[8~", "ed-move-to-end"},
      {"\\e[F", "ed-move-to-end"},
      {"\\eOF", "ed-move-to-end"},
      {"\\e[3~", "ed-delete-next-char"},
  };
  for (const auto& [key, function] : kKeys) el_set(editor, EL_BIND, key, function, nullptr);
  // Ctrl-C and Ctrl-Z come as keys, Ctrl-S is one, and pasted newlines stay what they are.
  el_set(editor, EL_SETTY, "-d", "-isig", "-ixon", "-inlcr", nullptr);
}

std::optional<wchar_t> LineEditor::Impl::next_character() {
  using Kind = TerminalInput::Event::Kind;
  while (true) {
    const TerminalInput::Event event = input.next(signals);
    if (event.kind == Kind::kEnd) return std::nullopt;
    if (event.kind == Kind::kSignal && event.signal == SIGINT) return L'\x03';
    if (event.kind == Kind::kSignal && (event.signal == SIGTERM || event.signal == SIGHUP)) {
      end = TypedLine::End::kTerminated;
      end_signal = event.signal;
      return std::nullopt;
    }
    if (event.kind == Kind::kSignal && event.signal == SIGWINCH)
      redraw(row_of_cursor(size_of(screen).columns));
    if (event.kind == Kind::kSignal && event.signal == SIGCONT) {
      if (!stopped) go_on();
      stopped = false;
    }
    if (event.kind != Kind::kCharacter) continue;
    const auto character = static_cast<wchar_t>(event.character);
    if (event.character < 0x80 || wcwidth(character) != 0) return character;
    // libedit's quick way of drawing a character takes every one for at least a column wide. One
    // that combines with the character before it is put in here, and the line drawn afresh.
    const wchar_t text[] = {character, L'\0'};
    const int row = row_of_cursor(columns);
    el_winsertstr(editor, text);
    redraw(row);
  }
}

int LineEditor::Impl::row_of_cursor(int now) const {
  const std::wstring before = to_wide(prompt) + std::wstring(typed_before_cursor());
  const ScreenPlace place = end_of(before, now);
  // At the end of a full row the cursor is in the next one if there is something: a character, or
  // the space with which libedit has gone there.
  const bool more = typed_before_cursor().size() < typed().size();
  const bool wrapped = place.column == now && (more || end_of(before, columns).column == columns);
  return place.row + (wrapped ? 1 : 0);
}

// Draws prompt and line over again. A terminal whose size has changed has wrapped its lines anew.
void LineEditor::Impl::redraw(int rows_below_prompt) {
  if (!plain) {
    write(rows_below_prompt > 0 ? fmt::format("\r\x1b[{}A\x1b[J", rows_below_prompt)
                                : std::string("\r\x1b[J"));
  }
  columns = size_of(screen).columns;
  el_resize(editor);
  el_set(editor, EL_REFRESH);
}

// What Ctrl-Z does where the terminal is not in raw mode.
unsigned char LineEditor::Impl::stop_process() {
  write("\n");
  bracket_pastes(false);
  el_set(editor, EL_PREP_TERM, 0);
  stopped = true;
  ::kill(0, SIGTSTP);
  go_on();
  return CC_NORM;
}

// After the shell has used the terminal.
void LineEditor::Impl::go_on() {
  el_set(editor, EL_PREP_TERM, 0);
  el_set(editor, EL_PREP_TERM, 1);
  bracket_pastes(true);
  redraw(0);
}

std::string LineEditor::Impl::drawn(const std::string& text) {
  const ScreenSize size = size_of(screen);
  return end_of(to_wide(text), size.columns).row < std::max(size.rows / 2, 2) ? text
                                                                              : marks.add(text);
}

unsigned char LineEditor::Impl::insert_paste() {
  const PasteLimits limits;
  const Paste paste = read_paste(input, limits);
  if (paste.too_long) {
    write(fmt::format("\nWhat was pasted is left out: it has more than {}.\n",
                      bytes_in_words(static_cast<int64_t>(limits.bytes))));
    redraw(0);
    return CC_NORM;
  }
  el_winsertstr(editor, to_wide(drawn(paste.text)).c_str());
  return CC_REFRESH;
}

unsigned char LineEditor::Impl::interrupt() {
  end = TypedLine::End::kInterrupted;
  // Enter leaves the cursor below all that was typed.
  el_cursor(editor, static_cast<int>(typed().size() - typed_before_cursor().size()));
  el_winsertstr(editor, L"^C");
  el_wpush(editor, L"\n");
  return CC_REFRESH;
}

unsigned char LineEditor::Impl::end_or_delete() {
  if (typed().empty()) {
    end = TypedLine::End::kEndOfInput;
    return CC_EOF;
  }
  if (typed_before_cursor().size() < typed().size()) {
    el_cursor(editor, 1);
    el_deletestr(editor, 1);
  }
  return CC_REFRESH;
}

LineEditor::LineEditor() : impl_(std::make_unique<Impl>()) {}
LineEditor::~LineEditor() = default;

TypedLine LineEditor::read(const std::string& prompt) {
  TerminalSignals signals;
  impl_->signals = &signals;
  impl_->prompt = prompt;
  impl_->end = TypedLine::End::kEntered;
  impl_->columns = size_of(impl_->screen).columns;
  impl_->bracket_pastes(true);
  int count = 0;
  const wchar_t* const line = el_wgets(impl_->editor, &count);
  impl_->signals = nullptr;
  impl_->bracket_pastes(false);
  if (impl_->thrown) std::rethrow_exception(std::exchange(impl_->thrown, nullptr));
  TypedLine typed;
  typed.end = impl_->end;
  typed.signal = impl_->end_signal;
  if (line == nullptr || count <= 0) {
    impl_->write("\n");
    if (typed.end == TypedLine::End::kEntered) typed.end = TypedLine::End::kEndOfInput;
    return typed;
  }
  std::wstring_view text(line, static_cast<size_t>(count));
  if (text.ends_with(L'\n')) text.remove_suffix(1);
  if (typed.end == TypedLine::End::kInterrupted) text.remove_suffix(2);  // "^C"
  impl_->last_drawn = to_narrow(text);
  typed.text = impl_->last_text = impl_->marks.expand(impl_->last_drawn);
  return typed;
}

void LineEditor::remember(const std::string& text) {
  const std::string drawn = text == impl_->last_text ? impl_->last_drawn : impl_->drawn(text);
  HistEventW event;
  history_w(impl_->history, &event, H_ENTER, to_wide(drawn).c_str());
}

}  // namespace orthrus::cli
