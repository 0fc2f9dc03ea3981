"""What goes wrong, as exceptions. Messages name field, value and what would be valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .results import Generation


class Error(Exception):
    """The base of all of them; `except orthrus.Error` catches whatever the engine refuses."""


class UsageError(Error, ValueError):
    """What was asked for is invalid: a value outside its range, an empty prompt, a closed engine."""


class FileError(Error, OSError):
    """A file of the model is missing, unreadable or malformed."""


class ModelNotFoundError(FileError, FileNotFoundError):
    """There is nothing where the model should be."""


class UnsupportedError(Error, NotImplementedError):
    """The checkpoint asks for something that this engine does not do faithfully."""


class ResourceError(Error, RuntimeError):
    """The machine could not provide something: memory, threads, a device."""


class GenerationError(Error, RuntimeError):
    """A generation failed under way; `generation` is what it had come to."""

    generation: Generation

    def __init__(self, message: str, generation: Generation) -> None:
        super().__init__(message)
        self.generation = generation

    def __reduce__(self) -> tuple[type[GenerationError], tuple[str, Generation]]:
        return type(self), (str(self), self.generation)


class OutOfMemoryError(GenerationError, MemoryError):
    """There was no room for more keys and values, or for a pass."""


class DeviceLostError(GenerationError):
    """The device failed: this engine computes nothing any more. Load the model again."""
