"""Exact dual-view decoding of Qwen models.

    import orthrus
    engine = orthrus.Engine("model.gguf")
    print(engine.generate("def fibonacci(n):").text)
"""

from ._native import __version__, cuda_devices
from .config import EngineLoad, ModelConfig
from .engine import Engine
from .errors import (
    DeviceLostError,
    Error,
    FileError,
    GenerationError,
    ModelNotFoundError,
    OutOfMemoryError,
    ResourceError,
    UnsupportedError,
    UsageError,
)
from .params import SamplingParams
from .results import Generation, GenerationStats, Logprobs, Step
from .session import Session
from .streams import AsyncStream, Stream
from .tokenizer import Tokenizer

__all__ = [
    "AsyncStream",
    "DeviceLostError",
    "Engine",
    "EngineLoad",
    "Error",
    "FileError",
    "Generation",
    "GenerationError",
    "GenerationStats",
    "Logprobs",
    "ModelConfig",
    "ModelNotFoundError",
    "OutOfMemoryError",
    "ResourceError",
    "SamplingParams",
    "Session",
    "Step",
    "Stream",
    "Tokenizer",
    "UnsupportedError",
    "UsageError",
    "__version__",
    "cuda_devices",
]
