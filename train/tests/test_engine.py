"""The engine reads what is exported, and accepts what the trainer says it will."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from orthrus_train import heads_file
from orthrus_train.acceptance import GREEDY, Measure, Walk, Way, walk
from orthrus_train.base import Base
from orthrus_train.diffusion import Passes
from orthrus_train.heads import Heads

REPOSITORY = Path(__file__).parents[2]
MODEL = REPOSITORY / "models" / "tiny-code"
ENGINE = os.environ.get("ORTHRUS", str(REPOSITORY / "build" / "orthrus"))
BLOCK, MASK, TOKENS = 16, 3, 160
PROMPTS = (
    "def fibonacci(n):\n",
    "import os\nimport sys\n\n\ndef main():\n",
    "class Stack:\n    def __init__(self):\n",
    "def test_parse(tmp_path):\n",
)


def generate(model: Path, heads: Path, prompt: str) -> dict:
    words = [ENGINE, "generate", "-m", str(model), "--heads", str(heads), "-p", prompt]
    words += ["-n", str(TOKENS), "--temperature", "0", "--ignore-eos", "--json"]
    words += ["--mode", "dual", "--block-size", str(BLOCK), "--weights", "f32"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny-code without its diffusion view: a plain Qwen3."""
    directory = tmp_path_factory.mktemp("plain")
    settings = json.loads((MODEL / "config.json").read_text())
    for name in ("block_size", "mask_token_id"):
        del settings[name]
    settings |= {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}
    (directory / "config.json").write_text(json.dumps(settings))
    shutil.copy(MODEL / "tokenizer.json", directory)
    tensors = load_file(MODEL / "model.safetensors")
    plain = {name: tensor for name, tensor in tensors.items() if "_diff." not in name}
    save_file(plain, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def worse(base: Base, pair_rank: int) -> Heads:
    """tiny-code's own heads made worse, so that it shows whether the engine takes these."""
    heads = Heads(base, pair_rank)
    heads.load(MODEL / "model.safetensors")  # tiny-code has heads in it
    if heads.pair is None:
        heads.values.data.mul_(0.97)
    else:
        generator = torch.Generator().manual_seed(1)
        heads.pair.previous.data.normal_(0, 1.0, generator=generator)
    return heads


@pytest.mark.parametrize("pair_rank", [0, 32])
@pytest.mark.parametrize("ending", ["safetensors", "gguf"])
def test_engine_accepts_what_the_trainer_measures(model, ending, pair_rank, tmp_path):
    base = Base.load(model, dtype=torch.float32)
    exported = tmp_path / f"heads.{ending}"
    heads_file.write(worse(base, pair_rank).in_file(BLOCK, MASK, "tiny-code"), exported)

    heads = Heads(base, pair_rank)
    heads.load(exported)
    measure = Measure(Passes(base, MASK, False), heads, BLOCK, batch=1, rows=240)
    way = Way(0.0, BLOCK - 1)
    engine, trainer, without_term = Walk(), Walk(), Walk()
    measured = [(heads.pair, trainer)] + [(None, without_term)] * (pair_rank > 0)
    for prompt in PROMPTS:
        result = generate(model, exported, prompt)
        stats = result["stats"]
        engine.add(Walk(stats["cycles"], stats["accepted"]))
        ids, output = result["prompt_ids"], result["output_ids"]
        first, last = len(ids), len(ids) + len(output) - 1
        tokens = np.array([ids + output + [0] * (BLOCK + 1)])
        own = np.zeros_like(tokens, np.uint8)
        own[0, first : last + 1] = GREEDY
        for heads.pair, total in measured:
            found = measure.accepted(tokens, own, [way])[0]
            total.add(walk(found.ways[way], first, last))
    assert engine.accepted > 0.5 * engine.cycles
    mean = trainer.accepted / trainer.cycles
    assert mean == pytest.approx(engine.accepted / engine.cycles, rel=0.02)
    if pair_rank > 0:  # enough of a term to be seen
        assert mean != pytest.approx(without_term.accepted / without_term.cycles, rel=0.1)
