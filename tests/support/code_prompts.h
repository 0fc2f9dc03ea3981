// Beginnings of Python files, which tiny-code drafts well.
#pragma once

namespace orthrus::test {

inline constexpr const char* kCodePrompts[] = {
    "def fibonacci(n):\n    if n < 2:\n        return n\n",
    "import os\nimport sys\n\n\ndef main():\n",
    "class Stack:\n    def __init__(self):\n        self.items = []\n\n    def push(self, item):\n",
    "import unittest\n\n\nclass TestParser(unittest.TestCase):\n    def test_empty(self):\n",
    "class Color(Enum):\n    RED = 1\n    GREEN = 2\n    BLUE = 3\n",
    "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n\n\ndef mul(",
    "def read_lines(path):\n    with open(path) as f:\n",
    "import logging\n\nlogger = logging.getLogger(__name__)\n\n\nclass Client:\n",
};

}  // namespace orthrus::test
