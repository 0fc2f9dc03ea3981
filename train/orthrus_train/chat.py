"""Chat formats. All that Qwen's models have is ChatML; they differ in what these fields say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ROLES = ("system", "user", "assistant")
START, END = "<|im_start|>", "<|im_end|>"
_EMPTY_THINKING = "<think>\n\n</think>\n\n"


@dataclass(frozen=True)
class ChatFormat:
    default_system: str | None  # the system message of a chat that has none
    thinking: str  # "never", "optional" (an empty block turns it off) or "always"
    drops_thinking: bool = False  # what earlier answers thought is left out


FORMATS = {
    "chatml": ChatFormat(None, "never"),
    "qwen2": ChatFormat("You are a helpful assistant.", "never"),
    "qwen2.5": ChatFormat(
        "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", "never"
    ),
    "qwen3": ChatFormat(None, "optional", drops_thinking=True),
    "qwen3-thinking-2507": ChatFormat(None, "always", drops_thinking=True),
}


def format_of(template: str) -> str:
    """The key of FORMATS for a chat template, a Jinja program; "none" where it is not ChatML.

    Fine-tunes change templates in small ways, so that this goes by what a template says.
    """
    if START not in template:
        return "none"
    if "enable_thinking" in template:
        return "qwen3"
    opening = template[template.rfind("add_generation_prompt") :]
    if "<think>" in opening:
        return "qwen3-thinking-2507"
    for name in ("qwen2.5", "qwen2"):
        system = FORMATS[name].default_system
        assert system is not None
        if system in template:
            return name
    return "chatml"


def assistant_header(format_name: str, thinking: bool) -> str:
    """The opening of an answer. `thinking` counts only where the format leaves it open."""
    kind = FORMATS[format_name].thinking
    header = f"{START}assistant\n"
    if kind == "always":
        return header + "<think>\n"
    return header + _EMPTY_THINKING if kind == "optional" and not thinking else header


def user_header(format_name: str, system: str | None = None) -> str:
    """The beginning of a chat up to where the user's first words stand."""
    system = FORMATS[format_name].default_system if system is None else system
    opening = f"{START}system\n{system}{END}\n" if system else ""
    return f"{opening}{START}user\n"


def next_user_header() -> str:
    """What stands between the token that ends an answer and the user's next words."""
    return f"\n{START}user\n"


def render(messages: Sequence[Mapping[str, str]], format_name: str, thinking: bool) -> str:
    """A chat that ends with the user's words, up to where the answer begins."""
    form = FORMATS[format_name]
    parts = []
    if messages[0]["role"] != "system" and form.default_system:
        parts.append(f"{START}system\n{form.default_system}{END}\n")
    for message in messages:
        content = message["content"]
        if message["role"] == "assistant" and form.drops_thinking and "</think>" in content:
            content = content.rsplit("</think>", 1)[1].lstrip("\n")
        parts.append(f"{START}{message['role']}\n{content}{END}\n")
    return "".join(parts) + assistant_header(format_name, thinking)
