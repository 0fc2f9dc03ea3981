"""Reading bases: two kinds of files give the same, and broken ones are told."""

import json
import struct
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from safetensors.torch import load_file, save_file

from orthrus_train.base import Base
from orthrus_train.errors import TrainError
from orthrus_train.vocabulary import encode

from .tiny_bases import (
    REPOSITORY,
    random_tensors,
    tensors_of,
    tiny_config,
    write_gguf,
    write_huggingface,
)

Q8, F16 = gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.F16
QUANTIZED, HALVED = "model.layers.1.mlp.up_proj.weight", "model.layers.0.self_attn.k_proj.weight"


@pytest.mark.parametrize("architecture,tied", [("qwen2", False), ("qwen3", True)])
def test_gguf_and_hugging_face_give_the_same(tmp_path: Path, architecture: str, tied: bool) -> None:
    config = tiny_config(architecture, tied=tied)
    tensors = random_tensors(config)
    file = write_gguf(tmp_path / "base.gguf", config, tensors, {QUANTIZED: Q8, HALVED: F16})
    tensors[HALVED] = tensors[HALVED].half().float()
    blocks = gguf.quantize(tensors[QUANTIZED].numpy(), Q8)
    tensors[QUANTIZED] = torch.from_numpy(gguf.dequantize(blocks, Q8))
    directory = write_huggingface(tmp_path / "base", config, tensors)
    one, other = (Base.load(path, dtype=torch.float32) for path in (file, directory))
    for name, tensor in tensors_of(other).items():
        assert torch.equal(tensors_of(one)[name], tensor), name
        assert torch.equal(tensor, tensors[name]), name
    named = {"name": "", "eos_ids": ()}
    assert one.config.as_dict() | named == other.config.as_dict() | named
    assert set(other.config.eos_ids) <= set(one.config.eos_ids)
    assert one.fingerprint() == other.fingerprint()
    text = "<|im_start|>user\nlet x = 'é';\n\n  y<|im_end|>"
    assert encode(one.tokenizer, text) == encode(other.tokenizer, text)
    assert one.tokenizer.decode(encode(one.tokenizer, "grün")) == "grün"
    assert encode(one.tokenizer, "ab") == [263]


def test_fingerprints_tell_bases_apart_but_not_dtypes(tmp_path: Path) -> None:
    config = tiny_config()
    tensors = random_tensors(config)
    directory = write_huggingface(tmp_path / "base", config, tensors)
    exact, rounded = Base.load(directory, dtype=torch.float32), Base.load(directory)
    assert rounded.embed.dtype == torch.bfloat16 and rounded.norm.dtype == torch.float32
    assert exact.fingerprint() == rounded.fingerprint()
    tensors["model.layers.1.self_attn.q_norm.weight"][3] += 0.1
    changed = write_huggingface(tmp_path / "changed", config, tensors)
    assert Base.load(changed).fingerprint() != exact.fingerprint()


def test_shards_are_found_by_their_index(tmp_path: Path) -> None:
    config = tiny_config()
    directory = write_huggingface(tmp_path, config, random_tensors(config))
    whole = Base.load(directory)
    tensors = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in parts.items():
        save_file({n: tensors[n] for n in part}, directory / file)
    index = {"weight_map": {n: file for file, part in parts.items() for n in part}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    assert Base.load(directory).fingerprint() == whole.fingerprint()
    (directory / "b.safetensors").unlink()
    with pytest.raises(TrainError, match="b.safetensors: is missing"):
        Base.load(directory)
    index["weight_map"][names[0]] = "../a.safetensors"
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(TrainError, match="weight_map names '../a.safetensors'"):
        Base.load(directory)


def test_the_model_of_this_repository_is_a_base_without_its_heads() -> None:
    base = Base.load(REPOSITORY / "models" / "tiny-code")
    assert base.config.architecture == "qwen3" and base.config.tied and base.config.chat == "none"
    assert len(base.layers) == 10
    assert not [name for name in tensors_of(base) if "_diff" in name]


def test_heads_in_a_gguf_file_are_left_out(tmp_path: Path) -> None:
    config = tiny_config("qwen3")
    tensors = random_tensors(config)
    plain = Base.load(write_gguf(tmp_path / "plain.gguf", config, tensors))
    path = tmp_path / "orthrus.gguf"
    sizes: dict[str, Any] = {
        "orthrus.block_count": config.layers,
        "orthrus.context_length": config.max_positions,
        "orthrus.embedding_length": config.hidden_size,
        "orthrus.feed_forward_length": config.intermediate_size,
        "orthrus.attention.head_count": config.heads,
        "orthrus.attention.head_count_kv": config.kv_heads,
        "orthrus.attention.key_length": config.head_dim,
        "orthrus.attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        "orthrus.rope.freq_base": config.rope_theta,
    }
    write_gguf(path, config, tensors, architecture="orthrus", **sizes)
    both = Base.load(path)
    assert both.config.architecture == "qwen3"
    assert both.fingerprint() == plain.fingerprint()


@pytest.mark.parametrize(
    "fields,told",
    [
        ({"architectures": ["LlamaForCausalLM"]}, "architectures is .*Llama"),
        ({"architectures": ["Qwen3MoeForCausalLM"]}, "architectures is"),
        ({"architectures": [["Qwen3ForCausalLM"]]}, "architectures is"),
        ({"rope_theta": 10**400}, "rope_theta is 1000.*; it must be a number above 0"),
        ({"num_experts": 8}, "num_experts is 8; mixtures"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_type is 'yarn'"),
        ({"rope_parameters": {"rope_theta": -1}}, "rope_theta is -1; it must be a number above 0"),
        ({"hidden_size": "64"}, "hidden_size is '64'; it must be an integer"),
        ({"hidden_size": 128}, "tensor model.embed_tokens.weight has the shape .264, 64."),
        ({"num_key_value_heads": 3}, "key-value heads is 3; it must divide"),
        ({"vocab_size": 200, "eos_token_id": 5}, "highest id is 259, but the embedding has 200"),
        ({"eos_token_id": 264}, "eos_token_id is 264; token ids must be"),
        ({"num_hidden_layers": 3}, "tensor model.layers.2.* is missing"),
        ({"use_sliding_window": True}, "use_sliding_window is True"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantization_config is"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"attention_bias": True}, "attention_bias is True"),
    ],
)
def test_configurations_that_cannot_be_used(tmp_path: Path, fields: dict, told: str) -> None:
    config = tiny_config()
    with pytest.raises(TrainError, match=told):
        Base.load(write_huggingface(tmp_path, config, random_tensors(config), **fields))


def test_weights_that_cannot_be_used(tmp_path: Path) -> None:
    config = tiny_config()
    name = "model.layers.1.mlp.down_proj.weight"

    def load(change: torch.Tensor | None) -> Base:
        tensors = random_tensors(config)
        if change is None:
            del tensors[name]
        else:
            tensors[name] = change
        return Base.load(write_huggingface(tmp_path, config, tensors))

    good = random_tensors(config)[name]
    with pytest.raises(TrainError, match=f"{name} is missing"):
        load(None)
    with pytest.raises(TrainError, match=f"{name} has the shape .96, 64.; .* says .64, 96."):
        load(good.T)
    for bad in (float("nan"), float("inf")):
        broken = good.clone()
        broken[5, 7] = bad
        with pytest.raises(TrainError, match=f"{name} has elements that are not finite"):
            load(broken)
    with pytest.raises(TrainError, match=f"{name} is torch.int32; supported are"):
        load(good.int())


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, 0.99])
def test_files_that_were_cut_off(tmp_path: Path, kept: float) -> None:
    config = tiny_config()
    tensors = random_tensors(config)
    directory = write_huggingface(tmp_path / "base", config, tensors)
    file = write_gguf(tmp_path / "base.gguf", config, tensors)
    for path, base in ((directory / "model.safetensors", directory), (file, file)):
        data = path.read_bytes()
        path.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
        with pytest.raises(TrainError, match=str(path.name)):
            Base.load(base)


@pytest.mark.parametrize(
    "fields,told",
    [
        ({"architecture": "llama"}, "general.architecture is 'llama'"),
        ({"qwen3.expert_count": 4}, "qwen3.expert_count is 4; supported is 0"),
        ({"qwen3.rope.scaling.type": "yarn"}, "qwen3.rope.scaling.type is 'yarn'"),
        ({"qwen3.rope.dimension_count": 8}, "dimension_count is 8; supported is .* which is 16"),
        ({"tokenizer.ggml.model": "llama"}, "tokenizer.ggml.model is 'llama'"),
        ({"tokenizer.ggml.tokens": 5}, "tokenizer.ggml.tokens must be a list"),
        ({"tokenizer.ggml.pre": "deepseek"}, "tokenizer.ggml.pre is 'deepseek'"),
        ({"tokenizer.ggml.token_type": [1, 1]}, "token_type must be a list of 264 numbers"),
        ({"tokenizer.ggml.token_type": [1] * 263 + [9]}, r"token_type\[263\] is 9"),
        ({"tokenizer.ggml.merges": ["a b c"]}, "merges has 'a b c'"),
        ({"tokenizer.ggml.merges": ["a zz"]}, "has no tokenizer that can be used"),
        ({"split.count": 3}, "split.count is 3; join"),
        ({"qwen3.block_count": 5}, "tensor model.layers.2.* is missing"),
    ],
)
def test_gguf_files_that_cannot_be_used(tmp_path: Path, fields: dict, told: str) -> None:
    config = tiny_config()
    with pytest.raises(TrainError, match=told):
        Base.load(write_gguf(tmp_path / "base.gguf", config, random_tensors(config), **fields))


def test_files_that_are_something_else(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="nowhere: is missing"):
        Base.load(tmp_path / "nowhere")
    with pytest.raises(TrainError, match="config.json: cannot be read"):
        Base.load(tmp_path)
    for text in ("{", "[]", "[" * 100_000):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(TrainError, match="config.json: (is not JSON|is list)"):
            Base.load(tmp_path)
    # A GGUF header that promises more than there is.
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1 << 60))
    with pytest.raises(TrainError, match="x.gguf: is not a GGUF file"):
        Base.load(tmp_path / "x.gguf")
