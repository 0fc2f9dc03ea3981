"""A directory of sequences that a base wrote, most of their tokens its own.

    meta.json                        whose they are and how they were made; see Meta
    shard-RRRR-NNNNN.safetensors     round NNNNN of process RRRR, of N sequences:
        tokens  int32 [N, length]
        own     uint8 [N, length]    0: prompt; 1: the base's own greedy choice; 2: its sampled one
        kind    uint8 [N]            index into meta's kinds, of text
        group   int64 [N]            sequences that grew from one prompt have one group

Every file is written under another name and then renamed, so that each is whole or not there.
"""

import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .base import Base
from .errors import TrainError
from .fields import Fields
from .files import written_whole

PROMPT, GREEDY, SAMPLED = 0, 1, 2  # what `own` holds

_FORMAT = 1
_SHARD = re.compile(r"shard-(\d{4})-(\d{5})\.safetensors")
_DTYPES = {"tokens": torch.int32, "own": torch.uint8, "kind": torch.uint8, "group": torch.int64}


@dataclass(frozen=True)
class Meta:
    base: str  # the base's fingerprint
    base_name: str  # for people
    vocab_size: int
    length: int  # tokens of each sequence
    kinds: tuple[str, ...]  # names of the kinds of text
    made: dict[str, Any] = field(
        default_factory=dict
    )  # seed and settings: for people, and resuming


class Batch(NamedTuple):
    tokens: Tensor  # int64 [batch, length]
    own: Tensor  # uint8 [batch, length]
    kind: Tensor  # uint8 [batch]


def shard_path(directory: Path, rank: int, number: int) -> Path:
    return directory / f"shard-{rank:04}-{number:05}.safetensors"


def shard_paths(directory: Path, rank: int | None = None) -> list[Path]:
    """The shards of one process, or of all, in order of their names."""
    found = [
        p
        for p in directory.iterdir()
        if (m := _SHARD.fullmatch(p.name)) and (rank is None or int(m[1]) == rank)
    ]
    return sorted(found)


def write_meta(directory: Path, meta: Meta) -> None:
    """Makes the directory where there is none. One that is there must be of the same making."""
    path = directory / "meta.json"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _check_same(read_meta(directory), meta, path)
            return
        # Processes that start together write the same bytes under names of their own.
        temporary = directory / f".meta.json.{os.getpid()}.tmp"
        temporary.write_text(json.dumps({"format": _FORMAT, **asdict(meta)}, indent=1) + "\n")
        os.replace(temporary, path)
    except OSError as e:
        raise TrainError(f"{path}: cannot be written: {e.strerror or e}.") from e


def _check_same(old: Meta, new: Meta, path: Path) -> None:
    before, now = asdict(old) | old.made, asdict(new) | new.made
    for name in now:
        if name not in ("made", "base_name") and before.get(name) != _as_json(now[name]):
            raise TrainError(
                f"{path}: {name} is {before.get(name)!r}, and now {now[name]!r}: what is there "
                "was made in another way; give another directory, or the settings of then."
            )


def _as_json(value: Any) -> Any:
    """What a value is after it was written and read."""
    return value if isinstance(value, tuple) else json.loads(json.dumps(value))


def read_meta(directory: Path) -> Meta:
    path = directory / "meta.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise TrainError(
            f"{path}: cannot be read: {e.strerror or e}; `generate` makes such a directory."
        ) from e
    except (ValueError, RecursionError) as e:
        raise TrainError(f"{path}: is not JSON: {e}.") from e
    if not isinstance(values, dict):
        raise TrainError(f"{path}: must be a JSON object.")
    fields = Fields(str(path), values)
    fields.integer("format", _FORMAT, _FORMAT)
    kinds = values.get("kinds")
    if (
        not isinstance(kinds, list)
        or not 0 < len(kinds) < 256
        or not all(isinstance(k, str) for k in kinds)
    ):
        raise fields.refuse("kinds", "it must be a list of 1 to 255 texts")
    made = values.get("made", {})
    if not isinstance(made, dict):
        raise fields.refuse("made", "it must be an object")
    return Meta(
        base=fields.text("base"),
        base_name=fields.text("base_name", ""),
        vocab_size=fields.integer("vocab_size", 1, 1 << 24),
        length=fields.integer("length", 2, 1 << 24),
        kinds=tuple(kinds),
        made=made,
    )


def write_shard(path: Path, tokens: Tensor, own: Tensor, kind: Tensor, group: Tensor) -> None:
    tensors = {"tokens": tokens, "own": own, "kind": kind, "group": group}
    tensors = {n: t.to("cpu", _DTYPES[n]).contiguous() for n, t in tensors.items()}
    try:
        with written_whole(path) as part:
            save_file(tensors, part)
    except (OSError, SafetensorError) as e:
        raise TrainError(f"{path}: cannot be written: {e}.") from e


def read_shard(path: Path, meta: Meta) -> dict[str, Tensor]:
    """A shard's tensors, mapped, after a look at all that they hold."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            names = set(file.keys())
            tensors = {n: file.get_tensor(n) for n in _DTYPES if n in names}
    except (SafetensorError, OSError, ValueError) as e:
        raise TrainError(f"{path}: is not a shard that can be read: {e}; remove it.") from e
    count = len(tensors["kind"]) if tensors.get("kind") is not None and tensors["kind"].dim() else 0
    for name, dtype in _DTYPES.items():
        shape = [count, meta.length] if name in ("tokens", "own") else [count]
        tensor = tensors.get(name)
        if tensor is None or tensor.dtype != dtype or list(tensor.shape) != shape:
            is_now = "missing" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
            raise TrainError(f"{path}: {name} is {is_now}; it must be {dtype} {shape}.")
    limits = {"tokens": meta.vocab_size, "own": SAMPLED + 1, "kind": len(meta.kinds)}
    for name, limit in limits.items():
        values = tensors[name]
        if count and not 0 <= int(values.min()) <= int(values.max()) < limit:
            raise TrainError(
                f"{path}: {name} holds {int(values.min())} to {int(values.max())}; it must be "
                f"0 to {limit - 1}."
            )
    return tensors


def _mixed(group: np.ndarray) -> np.ndarray:
    """Evenly spread numbers in [0, 1) from group ids, whatever these are."""
    x = group.astype(np.uint64)
    for multiplier in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(multiplier)
    return (x ^ (x >> np.uint64(31))).astype(np.float64) / 2.0**64


class Dataset:
    """All shards of a directory, as one list of sequences.

    `training` and `held_out` are disjoint arrays of indices, and no group is in both. The split
    depends on the groups alone, so that it stays when a directory grows.
    """

    def __init__(self, meta: Meta, shards: list[dict[str, Tensor]], held_out: float) -> None:
        self.meta = meta
        self.shards = shards
        self.starts = np.cumsum([0] + [len(s["kind"]) for s in shards])
        self.kind = torch.cat([s["kind"] for s in shards])
        group = torch.cat([s["group"] for s in shards]).numpy()
        place = _mixed(group)
        # Of a few sequences none may be below the share: then it is the first group.
        is_held_out = place <= max(held_out, place.min())
        self.held_out = np.flatnonzero(is_held_out)
        self.training = np.flatnonzero(~is_held_out)

    @staticmethod
    def open(directory: str | Path, base: Base, held_out: float = 0.02) -> "Dataset":
        """Throws TrainError where the data is not whole, not this base's, or too little.

        `held_out` is the share of groups that are not trained on.
        """
        directory = Path(directory)
        meta = read_meta(directory)
        path = directory / "meta.json"
        if meta.base != base.fingerprint():
            raise TrainError(
                f"{path}: the data was made by another base ({meta.base_name or meta.base}); "
                "generate it with this one."
            )
        if meta.vocab_size != base.config.vocab_size:
            raise TrainError(
                f"{path}: vocab_size is {meta.vocab_size}; the base's is {base.config.vocab_size}."
            )
        shards = [read_shard(p, meta) for p in shard_paths(directory)]
        if not shards or sum(len(s["kind"]) for s in shards) == 0:
            raise TrainError(f"{directory}: has no sequences; `generate` makes them.")
        dataset = Dataset(meta, shards, held_out)
        if len(dataset.training) == 0:
            raise TrainError(
                f"{directory}: all its {len(dataset)} sequences grew from one prompt, so that none "
                "can be held out; generate more."
            )
        return dataset

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def length(self) -> int:
        return self.meta.length

    def batch(self, indices: np.ndarray | Tensor | list[int]) -> Batch:
        tokens, own = [], []
        for index in np.asarray(indices, dtype=np.int64):
            shard = int(np.searchsorted(self.starts, index, side="right")) - 1
            row = int(index - self.starts[shard])
            tokens.append(self.shards[shard]["tokens"][row])
            own.append(self.shards[shard]["own"][row])
        kind = self.kind[torch.as_tensor(np.asarray(indices, dtype=np.int64))]
        return Batch(torch.stack(tokens).long(), torch.stack(own), kind)
