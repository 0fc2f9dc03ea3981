"""Processes that train together, as torchrun starts them; on the processor."""

import json
import os
import subprocess
import sys
from pathlib import Path

from orthrus_train import log
from orthrus_train.__main__ import main

from .tiny_bases import tensors_of, write_huggingface


def two(*words: str) -> None:
    """`orthrus_train` in two processes."""
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    start += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1"]
    settings = {
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    done = subprocess.run(
        [*start, "-m", "orthrus_train", *words],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def test_two_train_and_measure_as_one(qwen3, texts, tmp_path, capsys):
    model = write_huggingface(tmp_path / "base", qwen3.config, tensors_of(qwen3))
    texts(qwen3)
    common = ["--model", str(model), "--device", "cpu", "--data", str(tmp_path / "data")]
    sizes = ["--rows", "64", "--batch", "2", "--block-size", "8", "--log-every", "1"]
    out = tmp_path / "out"
    two("train", *common, *sizes, "--out", str(out), "--steps", "2")
    records = log.read(out)
    assert records[0]["settings"]["workers"] == 2
    assert [r["step"] for r in records if "loss" in r] == [1, 2]

    heads, figures = out / "heads.safetensors", []
    for run in (two, lambda *words: main(list(words))):
        run("evaluate", *common, "--heads", str(heads), "--json", str(tmp_path / "found.json"),
            "--temperature", "0", "--trees", "8")  # fmt: skip
        figures.append(json.loads((tmp_path / "found.json").read_text()))
    one, other = ({(r["rows"], r["nodes"], r["kind"]): r for r in found} for found in figures)
    assert one == other and len(one) > 4
