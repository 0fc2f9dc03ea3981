"""Data directories: what is wrong is told, and no prompt is both trained on and held out."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from orthrus_train.base import Base
from orthrus_train.dataset import (
    Dataset,
    Meta,
    read_meta,
    shard_path,
    shard_paths,
    write_meta,
    write_shard,
)
from orthrus_train.errors import TrainError

from .tiny_bases import tiny_config

BASE = Base.random(tiny_config(), 1)
META = Meta(BASE.fingerprint(), "tiny", 264, 16, ("chat", "self"), {"seed": 3})


def fill(directory: Path, shards: int = 3, rows: int = 40, groups: int = 1 << 40) -> Path:
    write_meta(directory, META)
    for number in range(len(shard_paths(directory, 0)), shards):
        random = torch.Generator().manual_seed(number)
        write_shard(
            shard_path(directory, 0, number),
            torch.randint(0, 264, (rows, 16), generator=random),
            torch.randint(0, 3, (rows, 16), generator=random),
            torch.randint(0, 2, (rows,), generator=random),
            torch.randint(0, groups, (rows,), generator=random),
        )
    return directory


def test_sequences_come_back_as_written(tmp_path: Path) -> None:
    data = Dataset.open(fill(tmp_path), BASE)
    assert len(data) == 120 and data.length == 16
    batch = data.batch([0, 41, 119])
    for row, (shard, place) in enumerate([(0, 0), (1, 1), (2, 39)]):
        written = load_file(shard_path(tmp_path, 0, shard))
        assert torch.equal(batch.tokens[row], written["tokens"][place].long())
        assert torch.equal(batch.own[row], written["own"][place])
        assert batch.kind[row] == written["kind"][place]
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".") or p.suffix == ".part"]


def test_groups_are_held_out_whole_and_stay_so(tmp_path: Path) -> None:
    data = Dataset.open(fill(tmp_path, groups=30), BASE, held_out=0.2)
    group = torch.cat([s["group"] for s in data.shards]).numpy()
    assert sorted([*data.held_out, *data.training]) == list(range(120))
    assert set(group[data.held_out]).isdisjoint(group[data.training])
    assert 6 <= len(data.held_out) <= 60
    larger = Dataset.open(fill(tmp_path, shards=5, groups=30), BASE, held_out=0.2)
    assert np.array_equal(larger.held_out[larger.held_out < 120], data.held_out)
    # However small the share is, something is held out.
    assert 0 < len(Dataset.open(tmp_path, BASE, held_out=0.0).held_out) < 40


def test_a_directory_of_another_making_is_refused(tmp_path: Path) -> None:
    fill(tmp_path)
    write_meta(tmp_path, META)
    assert read_meta(tmp_path) == META
    changed = Meta(META.base, "renamed", 264, 16, META.kinds, {"seed": 4})
    with pytest.raises(TrainError, match="meta.json: seed is 3, and now 4"):
        write_meta(tmp_path, changed)
    with pytest.raises(TrainError, match="made by another base .tiny."):
        Dataset.open(tmp_path, Base.random(tiny_config(), 2))


@pytest.mark.parametrize(
    "change,told",
    [
        ({"kinds": []}, "kinds is"),
        ({"length": 0}, "length is 0; it must be an integer"),
        ({"base": 5}, "base is 5; it must be a text"),
        ({"format": 2}, "format is 2; it must be an integer from 1 to 1"),
        ({"length": 32}, r"tokens is torch.int32 \[40, 16\]; it must be torch.int32 \[40, 32\]"),
        ({"vocab_size": 100}, "vocab_size is 100"),
        ({"kinds": ["chat"]}, "kind holds 0 to 1; it must be 0 to 0"),
    ],
)
def test_meta_that_cannot_be_used(tmp_path: Path, change: dict, told: str) -> None:
    path = fill(tmp_path) / "meta.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(TrainError, match=told):
        Dataset.open(tmp_path, BASE)


def test_shards_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="meta.json: cannot be read"):
        Dataset.open(tmp_path, BASE)
    write_meta(tmp_path, META)
    with pytest.raises(TrainError, match="has no sequences"):
        Dataset.open(tmp_path, BASE)
    path = shard_path(fill(tmp_path), 0, 1)
    good, tensors = path.read_bytes(), load_file(path)
    path.write_bytes(good[:-100])
    with pytest.raises(TrainError, match="00001.safetensors: is not a shard that can be read"):
        Dataset.open(tmp_path, BASE)
    changes = {
        "tokens holds 0 to 264": {"tokens": torch.full((40, 16), 264, dtype=torch.int32)},
        "tokens holds -1": {"tokens": torch.full((40, 16), -1, dtype=torch.int32)},
        "own holds 0 to 3": {"own": torch.full((40, 16), 3, dtype=torch.uint8)},
        "own is torch.float32": {"own": torch.zeros(40, 16)},
        r"group is torch.int64 \[39\]": {"group": torch.zeros(39, dtype=torch.int64)},
    }
    for told, change in changes.items():
        changed = tensors | change
        for name in change:
            if told.split()[2] == "0":
                changed[name][0] = 0
        save_file(changed, path)
        with pytest.raises(TrainError, match=told):
            Dataset.open(tmp_path, BASE)
    save_file({n: t for n, t in tensors.items() if n != "own"}, path)
    with pytest.raises(TrainError, match="own is missing"):
        Dataset.open(tmp_path, BASE)


def test_an_empty_shard_is_none_and_one_prompt_is_too_little(tmp_path: Path) -> None:
    fill(tmp_path, shards=1)
    none = torch.zeros(0, 16)
    write_shard(shard_path(tmp_path, 0, 1), none, none, none[:, 0], none[:, 0])
    assert len(Dataset.open(tmp_path, BASE)) == 40
    one = tmp_path / "one"
    fill(one, groups=1)
    with pytest.raises(TrainError, match="grew from one prompt"):
        Dataset.open(one, BASE)
