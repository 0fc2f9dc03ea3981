#!/usr/bin/env python3
"""Writes expected.json: what the NFC of Hugging Face's tokenizers gives.

Needs the package tokenizers (PyPI); made with 0.23.3. Its tables are Unicode 9's (its Rust crate
unicode-normalization-alignments), so what came later is neither mark nor composed to it. The texts
are each mark of Python's Unicode between one below and one above of other classes, each pair that
composes, each character that decomposes, and random strings of all of these. Prints as C++ ranges
the marks that tokenizers does not know.
"""

import json
import random
import sys
import unicodedata
from pathlib import Path

from tokenizers.normalizers import NFC

# Marks since Unicode 14, which Python 3.11 does not know; these are Unicode 15's.
NEWER = [0x10EFD, 0x10EFE, 0x10EFF, 0x11F41, 0x11F42, 0x1E08F, 0x1E4EC, 0x1E4ED, 0x1E4EE, 0x1E4EF]

nfc = NFC().normalize_str
everything = [chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]
marks = sorted({c for c in everything if unicodedata.combining(c)} | {chr(c) for c in NEWER})
composed = [c for c in everything if unicodedata.normalize("NFD", c) != c and not "가" <= c <= "힣"]

unknown = []
for mark in marks:
    text = "a\u0345" + mark + "\u0334"  # of the highest class and the lowest
    if nfc(text) == "a\u0345" + mark + "\u0334":
        unknown.append(ord(mark))
ranges = []
for c in unknown:
    if ranges and ranges[-1][1] == c - 1:
        ranges[-1][1] = c
    else:
        ranges.append([c, c])
print(", ".join("{0x%04x, 0x%04x}" % tuple(r) for r in ranges))

texts = []
for i in range(0, len(marks), 4):  # some to a text, to keep the file small
    texts.append(" ".join("a\u0345" + mark + "\u0334\u0301" for mark in marks[i : i + 4]))
for i in range(0, len(composed), 16):
    some = composed[i : i + 16]
    texts.append("".join(some))
    texts.append("x".join(unicodedata.normalize("NFD", c) for c in some))
random.seed(9)
special = [chr(c) for c in unknown] + list("\U00011935\U00011930\U00011938가각\u1100\u1161\u11a7\u11a8")
for _ in range(400):
    kinds = random.choices([marks, special, composed, list("aeou \u0905")], [3, 3, 2, 3], k=random.randint(2, 12))
    texts.append("".join(random.choice(kind) for kind in kinds))
cases = [[text, nfc(text)] for text in texts]
lines = ",\n".join(json.dumps(case) for case in cases)
Path(__file__).with_name("expected.json").write_text("[\n" + lines + "\n]\n")
