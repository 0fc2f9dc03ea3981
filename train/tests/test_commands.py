"""The commands, from a base in files to heads in files."""

import json

import pytest

from orthrus_train import log
from orthrus_train.__main__ import main
from orthrus_train.plot import draw

from .conftest import MASK
from .tiny_bases import tensors_of, write_huggingface


def test_train_evaluate_export_plot(qwen3, texts, tmp_path, capsys):
    model = write_huggingface(tmp_path / "base", qwen3.config, tensors_of(qwen3))
    texts(qwen3)
    data, out = str(tmp_path / "data"), tmp_path / "out"
    common = ["--model", str(model), "--device", "cpu", "--data", data]
    sizes = ["--steps", "4", "--rows", "64", "--batch", "2", "--block-size", "8"]
    assert main(["train", *common, "--out", str(out), *sizes, "--log-every", "2"]) == 0
    heads = tmp_path / "heads.gguf"
    assert main(["export", str(out), str(heads)]) == 0
    assert main(["export", str(heads), str(tmp_path / "again.safetensors"), "--base", "x"]) == 0
    small = tmp_path / "small.gguf"
    assert main(["export", str(out), str(small), "--type", "q4_0"]) == 0
    assert small.stat().st_size < heads.stat().st_size
    assert main(["export", str(out), str(tmp_path / "x.safetensors"), "--type", "q4_0"]) == 1
    assert "only NAME.gguf has types" in capsys.readouterr().err

    capsys.readouterr()
    figures = tmp_path / "figures.json"
    words = ["--heads", str(heads), "--json", str(figures), "--rows", "8,4", "--trees", "8"]
    assert main(["evaluate", *common, *words]) == 0
    table = capsys.readouterr().out
    assert "tree of 8" in table and "greedy" in table and "at 1 " in table
    ways = {(r["temperature"], r["rows"], r["nodes"]) for r in json.loads(figures.read_text())}
    assert ways == {(t, *way) for t in (0.0, 1.0) for way in ((8, 0), (4, 0), (8, 8))}

    assert main(["plot", str(out)]) == 0
    assert (out / "training.png").read_bytes().startswith(b"\x89PNG")

    # Heads to go on from, and heads that do not fit.
    again = ["--out", str(tmp_path / "more"), *sizes]
    assert main(["train", *common, *again, "--init", str(heads)]) == 0
    assert log.read(tmp_path / "more")[0]["settings"]["init"] == str(heads)
    assert log.read(out)[0]["settings"]["mask_token_id"] == MASK


@pytest.mark.parametrize("ending", ["safetensors", "gguf"])
def test_the_pairwise_term_goes_through_all_commands(qwen3, texts, tmp_path, capsys, ending):
    model = write_huggingface(tmp_path / "base", qwen3.config, tensors_of(qwen3))
    texts(qwen3)
    common = ["--model", str(model), "--device", "cpu", "--data", str(tmp_path / "data")]
    sizes = ["--steps", "3", "--rows", "64", "--batch", "2", "--block-size", "8"]
    first, heads = tmp_path / "first", tmp_path / f"heads.{ending}"
    assert main(["train", *common, *sizes, "--out", str(first), "--pair-rank", "32"]) == 0
    assert main(["export", str(first), str(heads)]) == 0
    assert main(["evaluate", *common, "--heads", str(heads), "--rows", "8", "--trees", "8"]) == 0

    # Without a rank, --init's is taken; another one is refused.
    init = ["train", *common, *sizes, "--init", str(heads), "--out"]
    assert main([*init, str(tmp_path / "second")]) == 0
    assert log.read(tmp_path / "second")[0]["settings"]["pair_rank"] == 32
    for rank in ("0", "64"):
        assert main([*init, str(tmp_path / "third"), "--pair-rank", rank]) == 1
        error = capsys.readouterr().err
        assert f"has the rank 32, and these heads' has {rank}" in error
    resume = [*init[:-3], "--resume", "--out", str(first)]
    assert main([*resume, "--pair-rank", "32"]) == 0
    assert main(resume) == 1
    assert "made with pair_rank 32" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["train", "--model", "x"],
        ["train", "--model", "x", "--data", "y", "--out", "z", "--steps", "0"],
        ["train", "--model", "x", "--data", "y", "--out", "z", "--steps", "1", "--minutes", "1"],
        ["train", "--model", "x", "--data", "y", "--out", "z", "--steps", "1", "--loss", "l2"],
        ["train", "--model", "x", "--data", "y", "--out", "z", "--steps", "1", "--pair-rank", "33"],
        ["make", "--model", "x", "--out", "z", "--pair-rank", "288"],
        ["evaluate", "--model", "x", "--data", "y", "--heads", "z", "--rows", "16,none"],
    ],
)
def test_usage_is_exit_code_two(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["make", "generate", "train", "evaluate"])
def test_what_is_not_there_is_told_in_a_line(command, tmp_path, capsys):
    words = [command, "--model", str(tmp_path / "none"), "--device", "cpu"]
    more = {
        "make": ["--out", "o"],
        "generate": ["--out", "o", "--minutes", "1"],
        "train": ["--out", "o", "--data", "d", "--steps", "1"],
        "evaluate": ["--heads", "h", "--data", "d"],
    }
    assert main(words + more[command]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(tmp_path / "none") in error


def test_data_of_another_base_is_refused(qwen3, qwen2, texts, tmp_path, capsys):
    texts(qwen2)
    model = write_huggingface(tmp_path / "base", qwen3.config, tensors_of(qwen3))
    words = ["train", "--model", str(model), "--device", "cpu", "--steps", "1"]
    assert main([*words, "--data", str(tmp_path / "data"), "--out", str(tmp_path / "o")]) == 1
    assert "made by another base" in capsys.readouterr().err


def test_a_log_without_steps_draws_nothing(tmp_path, capsys):
    assert main(["plot", str(tmp_path)]) == 1
    assert "no steps" in capsys.readouterr().err
    with pytest.raises(Exception, match="no steps"):
        draw(tmp_path, tmp_path / "x.png")
