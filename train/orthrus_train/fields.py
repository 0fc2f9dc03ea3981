"""Typed reading of the key-value pairs that configurations are: config.json, a GGUF's metadata."""

import sys
from collections.abc import Mapping
from typing import Any

from .errors import TrainError


class Fields:
    """Reads fields of `values`; every mistake is a TrainError that names `file` and the field."""

    def __init__(self, file: str, values: Mapping[str, Any]) -> None:
        self.file = file
        self.values = values

    def has(self, name: str) -> bool:
        """Whether the field is there with a value: null is none."""
        return self.values.get(name) is not None

    def refuse(self, name: str, valid: str) -> TrainError:
        """The error for a field whose value cannot be used. `valid` says what could."""
        shown = repr(self.values[name]) if name in self.values else "missing"
        if len(shown) > 200:
            shown = shown[:200] + "..."
        return TrainError(f"{self.file}: {name} is {shown}; {valid}.")

    def integer(self, name: str, low: int, high: int, default: int | None = None) -> int:
        value = self.values.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.refuse(name, f"it must be an integer from {low} to {high}")
        return value

    def positive(self, name: str, default: float | None = None) -> float:
        value = self.values.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if 0 < value <= sys.float_info.max:
                return float(value)
        raise self.refuse(name, "it must be a number above 0")

    def flag(self, name: str, default: bool) -> bool:
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.refuse(name, "it must be true or false")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        value = self.values.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self.refuse(name, "it must be a text")
        return value

    def ids(self, name: str, vocab_size: int) -> tuple[int, ...]:
        """One token id or a list of them; none where the field is not there."""
        value = self.values.get(name)
        if value is None:
            return ()
        ids = value if isinstance(value, list) else [value]
        for i in ids:
            if isinstance(i, bool) or not isinstance(i, int) or not 0 <= i < vocab_size:
                raise self.refuse(name, f"token ids must be integers from 0 to {vocab_size - 1}")
        return tuple(ids)
