"""`plot`: pictures of a training, from its log."""

import argparse
from pathlib import Path

from . import log
from .errors import TrainError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Path, help="a training's")
    parser.add_argument("--out", type=Path, help="by default training.png in it")


def draw(directory: Path, output: Path) -> None:
    """Four pictures: loss, accepted drafts, the share of drafts that survive, kinds of text."""
    try:
        import matplotlib
    except ImportError as error:
        raise TrainError("plots need the package matplotlib (pip install matplotlib).") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    records = log.read(directory)
    steps = [r for r in records if "loss" in r]
    held_out = [r for r in records if "held_out" in r]
    if not steps and not held_out:
        raise TrainError(f"{directory / log.NAME}: has no steps to draw.")
    figure, ((loss, accepted), (positions, kinds)) = pyplot.subplots(2, 2, figsize=(12, 8))

    loss.plot([r["step"] for r in steps], [r["loss"] for r in steps])
    loss.set(title="Loss", xlabel="step", yscale="log")

    accepted.plot([r["step"] for r in steps], [r["accepted"] for r in steps], label="training")
    for temperature in sorted({f["temperature"] for r in held_out for f in r["held_out"]}):
        name = "greedy" if temperature == 0 else f"at {temperature:g}"
        points = [
            (r["step"], f["decoding"])
            for r in held_out
            for f in r["held_out"]
            if f["temperature"] == temperature and f["kind"] == "all"
        ]
        accepted.plot(*zip(*points), marker="o", label=f"held out, {name}")
    accepted.set(title="Accepted drafts of a whole block", xlabel="step", ylim=(0, None))
    accepted.legend()

    for record in held_out[:: max(1, len(held_out) // 6)][:-1] + held_out[-1:]:
        for found in record["held_out"]:
            if found["temperature"] == 0 and found["kind"] == "all":
                x = range(1, found["rows"] + 1)
                positions.plot(x, found["by_position"], label=f"step {record['step']}")
    positions.set(title="Drafts that survive, held out, greedy", xlabel="draft", ylim=(0, 1))
    if positions.lines:
        positions.legend()

    last = [f for f in held_out[-1]["held_out"] if f["kind"] != "all"] if held_out else []
    names = sorted({f["kind"] for f in last})
    temperatures = sorted({f["temperature"] for f in last})
    width = 0.8 / max(1, len(temperatures))
    for n, temperature in enumerate(temperatures):
        values = {f["kind"]: f["decoding"] for f in last if f["temperature"] == temperature}
        places = [i + n * width for i, name in enumerate(names) if name in values]
        heights = [values[name] for name in names if name in values]
        label = "greedy" if temperature == 0 else f"at {temperature:g}"
        kinds.bar(places, heights, width, label=label)
    kinds.set(title="Accepted drafts by kind of text, held out, at the end")
    kinds.set_xticks([i + width * (len(temperatures) - 1) / 2 for i in range(len(names))], names)
    if temperatures:
        kinds.legend()

    figure.tight_layout()
    figure.savefig(output, dpi=100)
    pyplot.close(figure)


def run(args: argparse.Namespace) -> None:
    output = args.out or args.directory / "training.png"
    draw(args.directory, output)
    print(output)
