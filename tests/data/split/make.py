#!/usr/bin/env python3
"""Writes expected.json: how Hugging Face's tokenizers split texts by regular expressions.

Needs the package tokenizers (PyPI); made with 0.23.3, whose Oniguruma knows Unicode 16. The first
patterns are those of published tokenizers.
"""

import json
import random
import re
from pathlib import Path

from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

PUBLISHED = {
    "Qwen2 to Qwen3": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "Llama 3": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "GPT-2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "GPT-4": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    "GPT-4o": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "DeepSeek Coder": r"[\r\n]|\s?\p{L}+|\s?\p{P}+|[一-龥ࠀ-一가-퟿]+|\p{N}",
    "DeepSeek V3": r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "StarCoder": r"\d| ?\p{L}+|\S",
}
OTHERS = [
    r"\s+$", r"^\s*b?", r".+", r"(?<=\p{Lu})\p{Ll}|(?<!a)b", r"a{2}|b{2,3}?|c{2,}?|d{0,2}", r"a*?b|c??d|e+?",
    r"a*+|b?+b|c++", r"(?>a+|b)c|(a|b)+", r"(?=\p{Lu})", r"\P{L}+|\D", r"[^\S\n]+", r"[a\-z&^]+|[\]-]",
    r"\x{4e2d}|[\x41-\x{5a}\x{10000}-\x{1ffff}]+", r"(?i:k|[s]|il)", r"\p{Cn}+|\p{Co}|\p{Cf}", r"]|}|\{", r"",
]
TEXTS = [
    "I'M here:  12345\r\n\u00e9t\u00e9\u3000\u4e2d\u6587 \U0001f600!! x  \n\n  y\t",
    "it'\u017f 'LL can't\u2019s \u212aelvin K k \u017f",
    "aabbb ccc dd abba aaab bc ac\nb B aBcDe a-z&^ []{}",
    "a\u180e \u180e\u2060 \u0085\u00a0\u2028\x0b\x0c\r",
    # Since Unicode 14: Kawi, Garay digits, Todhri, ideographs of extensions H and I, Egyptian, signs.
    "a\U00011f04\U00011f3e\U00011f50 1\U00010d40\U00010d50\U00010d70 \U000105c0 \u4e2d\U00031350\U0002ebf0 "
    "\U00013460\U00013439 \U0001e4ec\u0897 \U0001fae8\U0001fadc \u2ffc\u31ef \ua7cb\ua7da \u1c89\u1c8a "
    "\U0001171e \U0010fffd\u0378\ue000",
]
random.seed(3)
letters = "aabbcdAB 01\n\r'\u00e9\u4e2d-&^[]{}.!s\u017f"
TEXTS += ["".join(random.choice(letters) for _ in range(24)) for _ in range(6)]
# Every range that Unicode 14 lacks, one character of each in a text.
tables = (Path(__file__).parents[3] / "src/tokenizer/split_age.h").read_text()
firsts = [int(first, 16) for first in re.findall(r"\{(0x\w+), 0x\w+, 0x\w+\}", tables)]
for i in range(0, len(firsts), 32):
    TEXTS.append("a1. ".join(chr(c) for c in firsts[i : i + 32]))

cases = []
for pattern in [*PUBLISHED.values(), *OTHERS]:
    split = Split(Regex(pattern), "isolated")
    cases.append({"pattern": pattern, "pieces": [[piece for piece, _ in split.pre_tokenize_str(t)] for t in TEXTS]})
lines = ",\n".join(json.dumps(case) for case in cases)
Path(__file__).with_name("expected.json").write_text("[\n" + lines + "\n]\n")
