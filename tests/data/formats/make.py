#!/usr/bin/env python3
"""Writes formats.json: random blocks of each GGUF format, and their numbers as the gguf package
(PyPI, 0.19) has them. A block is its bytes in hexadecimal, its numbers those of float32, low byte
first."""

import json
import pathlib

import gguf
import numpy as np

# Where a block has its f16: of the scales, and of the minimums.
HALVES = {
    "Q8_0": [0], "Q4_0": [0], "Q5_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0],
}
# Ordinary, small, negative, the largest, the least, none.
SCALES = [0.0123, 0.00051, -0.0371, 65504, 2.0**-24, 0]


def main():
    random = np.random.default_rng(11)
    formats = {}
    for name, places in HALVES.items():
        type_ = gguf.GGMLQuantizationType[name]
        size = gguf.GGML_QUANT_SIZES[type_][1]
        blocks = random.integers(0, 256, (len(SCALES), size), dtype=np.uint8)
        for place in places:
            for block, scale in zip(blocks, np.roll(SCALES, place)):
                block[place:place + 2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
        numbers = gguf.quants.dequantize(blocks, type_)
        formats[name] = [
            {"block": block.tobytes().hex(), "numbers": of_block.astype("<f4").tobytes().hex()}
            for block, of_block in zip(blocks, numbers)
        ]
    path = pathlib.Path(__file__).parent / "formats.json"
    path.write_text(json.dumps(formats, indent=0) + "\n")


main()
