import gguf
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import load_file

from orthrus_train import heads_file
from orthrus_train.errors import TrainError
from orthrus_train.heads import Heads
from orthrus_train.heads_file import as_bfloat16


def test_bfloat16_rounds_as_pytorch_does(rng):
    x = rng.standard_normal(1000).astype(np.float32) * 10.0 ** rng.integers(-30, 30, 1000)
    expected = torch.from_numpy(x.astype(np.float32)).bfloat16().view(torch.int16).numpy()
    assert (as_bfloat16(x.astype(np.float32)).view(np.int16) == expected).all()


@pytest.mark.parametrize("base", ["qwen2", "qwen3"])
@pytest.mark.parametrize("ending", ["safetensors", "gguf"])
def test_heads_come_back(base, ending, request, tmp_path):
    base = request.getfixturevalue(base)
    heads, other = Heads(base), Heads(base)
    heads.values.data.add_(torch.randn(heads.values.shape) * 0.01)
    path = tmp_path / f"heads.{ending}"
    heads_file.write(heads.in_file(8, 259, "tiny"), path)
    file = other.load(path)
    assert (file.block_size, file.mask_token_id, file.base) == (8, 259, "tiny")
    tolerance = dict(rtol=2**-8, atol=0) if ending == "safetensors" else dict(rtol=0, atol=0.01)
    for name, value in heads.named().items():
        found = other.named()[name]
        if value.dim() == 1:
            assert torch.equal(found, value)  # norms and biases stay as they are
        else:
            torch.testing.assert_close(found, value, **tolerance)


def test_names_and_types_are_the_engines(qwen2, tmp_path):
    path = tmp_path / "heads.safetensors"
    heads_file.write(Heads(qwen2).in_file(16, 259, "tiny"), path)
    tensors = load_file(path)
    prefix = "model.layers.1.self_attn."
    assert tensors[prefix + "o_proj_diff.weight"].dtype == torch.bfloat16
    assert tensors[prefix + "q_proj_diff.bias"].dtype == torch.float32
    assert len(tensors) == 2 * 7


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 100_000,
        b"[1]",
        b'{"__metadata__": null}',
        b'{"__metadata__": {"block_size": "-5"}}',
        b'{"__metadata__": {"block_size": "1000000000"}}',
        b'{"model.layers.0.self_attn.q_proj_diff.weight": 3}',
        b'{"model.layers.0.self_attn.q_proj_diff.weight": {"dtype": "F32", "data_offsets": null}}',
    ],
)
def test_headers_that_cannot_be_are_told(header, tmp_path):
    path = tmp_path / "heads.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(TrainError, match="heads.safetensors: (cannot be read|the block size)"):
        heads_file.read(path)


def test_files_that_do_not_fit_are_told(qwen2, qwen3, tmp_path):
    path = tmp_path / "heads.safetensors"
    heads_file.write(Heads(qwen2).in_file(16, 259, "tiny"), path)
    with pytest.raises(TrainError, match="has no tensor .*q_norm_diff"):
        Heads(qwen3).load(path)
    for damage in (b"", path.read_bytes()[:100], b"GGUF" + bytes(30), bytes(8) + b"{}"):
        path.write_bytes(damage)
        with pytest.raises(TrainError, match="heads.safetensors"):
            Heads(qwen3).load(path)
    file = Heads(qwen3).in_file(16, 259, "tiny")
    name = "model.layers.0.self_attn.q_proj_diff.weight"
    save_file({**file.tensors, name: np.full_like(file.tensors[name], np.nan)}, path)
    with pytest.raises(TrainError, match="q_proj_diff.* not finite"):
        Heads(qwen3).load(path)
    with pytest.raises(TrainError, match="are written as"):
        heads_file.write(file, tmp_path / "heads.bin")


@pytest.mark.parametrize("kind, bits", [("Q8_0", 8.5), ("Q5_0", 5.5), ("Q4_0", 4.5)])
def test_a_gguf_has_the_type_that_was_asked_for(kind, bits, qwen3, tmp_path):
    path = tmp_path / "heads.gguf"
    file = Heads(qwen3).in_file(16, 259, "tiny")
    heads_file.write(file, path, kind)
    found = heads_file.read(path)
    reader = gguf.GGUFReader(path)
    for name, tensor in file.tensors.items():
        stored = next(t for t in reader.tensors if t.name == heads_file.gguf_name(name))
        if tensor.ndim == 2:
            assert stored.tensor_type.name == kind
            assert stored.n_bytes * 8 == tensor.size * bits
            # Half a step, of as many as a block's largest number has; Q4_0 and Q5_0 have one less above.
            step = np.abs(tensor).max() / 2 ** (int(bits) - 1)
            assert np.abs(found.tensors[name] - tensor).max() <= 1.01 * step
        else:
            assert (found.tensors[name] == tensor).all()


def test_what_the_engine_would_refuse_is_not_written(qwen2, tmp_path):
    name = "model.layers.0.self_attn.q_proj_diff.weight"
    for ending in ("safetensors", "gguf"):
        path = tmp_path / f"heads.{ending}"
        file = Heads(qwen2).in_file(16, 259, "tiny")
        file.tensors[name][1, 1] = np.inf
        with pytest.raises(TrainError, match=f"heads.{ending}: .*q_proj_diff.* not finite"):
            heads_file.write(file, path)
        file = Heads(qwen2).in_file(16, 259, "tiny")
        file.base = None
        with pytest.raises(TrainError, match="have no name of the base .export --base NAME."):
            heads_file.write(file, path)
        assert not path.exists()


def test_other_types_of_numbers_are_told(tmp_path):
    path = tmp_path / "heads.safetensors"
    name = "model.layers.0.self_attn.q_proj_diff.weight"
    save_file({name: np.zeros((32, 32), np.int8)}, path)
    with pytest.raises(TrainError, match="q_proj_diff.weight is of type 'I8'; supported are F32"):
        heads_file.read(path)
