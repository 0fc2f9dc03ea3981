"""A base: the frozen checkpoint that heads are trained for."""

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from . import gguf_file, huggingface
from .config import BaseConfig, layer_shapes, tensor_shapes
from .errors import TrainError
from .network import linear, rms_norm
from .vocabulary import byte_tokenizer

_FLOATS = (torch.float32, torch.float16, torch.bfloat16)
_SAMPLED = 4096  # elements of each tensor that the fingerprint takes


class Base:
    """Configuration, tensors and tokenizer. Matrices have `dtype`; norms and biases are float32."""

    def __init__(
        self, config: BaseConfig, tensors: dict[str, Tensor], tokenizer: Tokenizer
    ) -> None:
        """`tensors` by their full names, as config.tensor_shapes lists them."""
        self.config = config
        self.tokenizer = tokenizer
        self.embed = tensors["model.embed_tokens.weight"]
        self.norm = tensors["model.norm.weight"]
        self.head = self.embed if config.tied else tensors["lm_head.weight"]
        self.layers: list[dict[str, Tensor]] = [
            {name: tensors[f"model.layers.{i}.{name}"] for name in layer_shapes(config)}
            for i in range(config.layers)
        ]

    @property
    def device(self) -> torch.device:
        return self.embed.device

    @property
    def dtype(self) -> torch.dtype:
        return self.embed.dtype

    @staticmethod
    def load(
        path: str | Path,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.bfloat16,
    ) -> "Base":
        """From a Hugging Face directory or a .gguf file. Heads that are in it are left out.

        Throws TrainError for files that are not whole, weights that are not numbers, shapes other
        than the configuration's, networks other than Qwen2 and Qwen3, and too little memory.
        """
        path = Path(path)
        if not path.exists():
            raise TrainError(f"{path}: is missing; give a Hugging Face directory or a .gguf file.")
        with ExitStack() as stack:
            if path.is_dir():
                config = huggingface.read_config(path)
                tokenizer = huggingface.read_tokenizer(path)
                tensors = huggingface.open_tensors(path, stack)
            else:
                file = gguf_file.GgufFile(path)
                config = gguf_file.read_config(file)
                tokenizer = gguf_file.read_tokenizer(file)
                tensors = gguf_file.open_tensors(file, list(tensor_shapes(config)))
            _check_tokenizer(tokenizer, config, path)
            _check_memory(config, torch.device(device), dtype, path)
            return Base(config, _read_all(config, tensors, device, dtype, path), tokenizer)

    @staticmethod
    def random(
        config: BaseConfig,
        seed: int,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> "Base":
        """A network of random weights with the tokenizer of bytes, for tests.

        Needs a vocabulary of 260 or more; see vocabulary.byte_tokenizer.
        """
        generator = torch.Generator().manual_seed(seed)
        tensors = {}
        for name, shape in tensor_shapes(config).items():
            values = torch.randn(shape, generator=generator)
            if name.endswith("norm.weight"):
                values = 1 + 0.1 * values
            elif len(shape) == 2:
                values = values / shape[1] ** 0.5
            tensors[name] = values.to(device, dtype if len(shape) == 2 else torch.float32)
        return Base(config, tensors, byte_tokenizer())

    def final_norm(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.norm, self.config.rms_norm_eps)

    def logits(self, x: Tensor) -> Tensor:
        """float32 [..., vocab_size] of the last layer's output."""
        return linear(self.final_norm(x), self.head).float()

    def fingerprint(self) -> str:
        """Tells bases apart, whatever device and dtype they are loaded with.

        A hash of the sizes and of evenly spaced elements of every tensor, in bfloat16: a fine-tune
        changes all tensors, and gigabytes need not be read.
        """
        c = self.config
        sizes = [c.architecture, c.vocab_size, c.hidden_size, c.intermediate_size, c.layers]
        sizes += [c.heads, c.kv_heads, c.head_dim, c.rope_theta, c.tied]
        digest = hashlib.sha256(repr(sizes).encode())
        named = [("embed", self.embed), ("norm", self.norm), ("head", self.head)]
        for i, layer in enumerate(self.layers):
            named += [(f"{i}.{name}", layer[name]) for name in sorted(layer)]
        for name, tensor in named:
            flat = tensor.flatten()
            step = max(1, flat.numel() // _SAMPLED)
            sample = flat[::step].to("cpu", torch.bfloat16).contiguous()
            digest.update(name.encode())
            digest.update(sample.view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:32]


def _check_tokenizer(tokenizer: Tokenizer, config: BaseConfig, path: Path) -> None:
    highest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if not 0 <= highest < config.vocab_size:
        raise TrainError(
            f"{path}: the tokenizer's highest id is {highest}, but the embedding has "
            f"{config.vocab_size} rows: they are not of one model."
        )


def _check_memory(config: BaseConfig, device: torch.device, dtype: torch.dtype, path: Path) -> None:
    """Before minutes of reading: whether the weights alone fit a GPU."""
    if device.type != "cuda":
        return
    elements = sum(torch.Size(shape).numel() for shape in tensor_shapes(config).values())
    needed = elements * dtype.itemsize
    free, _ = torch.cuda.mem_get_info(device)
    if needed > free:
        raise TrainError(
            f"{path}: the weights take {needed / 1e9:.1f} GB in {dtype}, and {device} has "
            f"{free / 1e9:.1f} GB free: use a GPU with more memory, or a smaller base."
        )


def _read_all(
    config: BaseConfig,
    readers: dict[str, Callable[[], Tensor]],
    device: str | torch.device,
    dtype: torch.dtype,
    path: Path,
) -> dict[str, Tensor]:
    shapes = tensor_shapes(config)
    missing = [name for name in shapes if name not in readers]
    if missing:
        raise TrainError(
            f"{path}: tensor {missing[0]} is missing"
            + (f", and {len(missing) - 1} more." if len(missing) > 1 else ".")
        )
    tensors = {}
    for name, shape in shapes.items():
        tensor = readers[name]()
        if tuple(tensor.shape) != shape:
            raise TrainError(
                f"{path}: tensor {name} has the shape {list(tensor.shape)}; the configuration "
                f"says {list(shape)}."
            )
        if tensor.dtype not in _FLOATS:
            raise TrainError(
                f"{path}: tensor {name} is {tensor.dtype}; supported are float32, float16 and "
                "bfloat16."
            )
        tensor = tensor.to(device, dtype if tensor.dim() == 2 else torch.float32)
        if not bool(torch.isfinite(tensor).all()):
            raise TrainError(f"{path}: tensor {name} has elements that are not finite numbers.")
        tensors[name] = tensor.contiguous()
    return tensors
