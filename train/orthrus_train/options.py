"""What words on the command line may be."""

import argparse
from collections.abc import Callable


def _integer(text: str, low: int, high: int, what: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what} from {low} to {high}")
    return value


def count(text: str) -> int:
    return _integer(text, 1, 10**9, "a whole number")


def many(text: str) -> int:
    """A count that may end in k or M: thousands, millions."""
    factor = {"k": 1_000, "M": 1_000_000}.get(text[-1:], 1)
    return factor * count(text[:-1] if factor > 1 else text)


def whole(text: str) -> int:
    return _integer(text, 0, 2**62, "a whole number")


def counts(text: str) -> tuple[int, ...]:
    """A list as 16,8,4."""
    return tuple(count(word) for word in text.split(","))


def block(text: str) -> int:
    return _integer(text, 4, 64, "a block's length")


def pair_rank(text: str) -> int:
    value = _integer(text, 0, 256, "a rank, a multiple of 32")
    if value % 32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a rank, a multiple of 32 from 0 to 256")
    return value


def number(low: float, high: float) -> Callable[[str], float]:
    """A number in a range, both ends in it."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")
        return value

    return parse
