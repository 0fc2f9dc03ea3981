"""Checks of what callers give. Types are TypeErrors, values UsageErrors; both name the field."""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError

TokenIds: TypeAlias = Sequence[int] | NDArray[np.integer[Any]]
Prompt: TypeAlias = str | TokenIds

INT_MAX = 2**31 - 1


def counted(count: int, thing: str) -> str:
    """ "1 token", "2 tokens"."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def integer(name: str, value: object, least: int, most: int) -> int:
    """`value` as an int of least..most; numpy's integers are integers, bools are not."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is {value}; it must be an integer")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} is {value!r}; it must be an integer") from None
    if not least <= number <= most:
        raise UsageError(f"{name} is {number}; valid is {least} to {most}.")
    return number


def number(name: str, value: object) -> float:
    """`value` as a float; the engine knows the ranges."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (int, float, np.integer, np.floating)
    ):
        raise TypeError(f"{name} is {value!r}; it must be a number")
    try:
        return float(value)
    except OverflowError:
        raise UsageError(f"{name} is {value}, which is no number that a float holds.") from None


def boolean(name: str, value: object) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is {value!r}; it must be True or False")
    return bool(value)


def text(name: str, value: object) -> str:
    """`value` as a str that UTF-8 can spell."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}; it must be a str")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{name} has half of a surrogate pair at character {error.start}, which is no text."
        ) from None
    return value


def path(name: str, value: object) -> str:
    """A file's name, which is not empty."""
    try:
        name_of_file = text(name, os.fspath(value))  # type: ignore[call-overload]
    except TypeError:
        raise TypeError(f"{name} is {value!r}; it must be a str or a Path") from None
    if name_of_file == "" or "\0" in name_of_file:
        raise UsageError(f"{name} is {name_of_file!r}, which is no name of a file.")
    return name_of_file


def texts(name: str, value: object) -> list[str]:
    """A str, or a sequence of them, as a list."""
    if isinstance(value, str):
        return [text(name, value)]
    if not isinstance(value, Sequence):
        raise TypeError(f"{name} is {value!r}; it must be a str or a list of them")
    return [text(f"{name}[{i}]", item) for i, item in enumerate(value)]


def is_ids(value: object) -> bool:
    """Whether this is one prompt's ids, and not a list of prompts."""
    if isinstance(value, np.ndarray):
        return True
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        return False
    return len(value) > 0 and isinstance(value[0], (int, np.integer))


def token_ids(name: str, value: object) -> NDArray[np.int32]:
    """[n] int32, contiguous; the same memory where it is that already."""
    if isinstance(value, np.ndarray):
        if value.ndim != 1 or (value.dtype.kind not in "iu" and value.size > 0):
            raise TypeError(
                f"{name} is an array of {value.dtype} of shape {value.shape}; "
                "it must have one dimension, of integers"
            )
        array = value
        if array.dtype != np.int32:
            if array.size > 0 and not (0 <= int(array.min()) and int(array.max()) <= INT_MAX):
                raise UsageError(f"{name} has an id outside 0 to {INT_MAX}.")
        return np.ascontiguousarray(array, np.int32)
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise TypeError(f"{name} is {value!r}; it must be a list of token ids")
    return np.array(
        [integer(f"{name}[{i}]", item, 0, INT_MAX) for i, item in enumerate(value)], np.int32
    )
