#!/usr/bin/env python3
"""What a decode cycle takes in the official PyTorch implementation of Orthrus.

    bench/official.py CLONE [--models qwen3-8b,qwen3-1.7b] [--context 512] [--cycles 32] ...

CLONE is a clone of the official repository (GitHub chiennv2000/orthrus), of which src/model.py is
imported; it wants PyTorch 2.10 and transformers 5.8 or later. Models have the published shapes and
random weights in BF16, so that hardly a draft is accepted and every cycle runs whole: a draft pass
and a verify pass of 32 rows, and all that the official generate() does between them.

Prints a JSON object a model. Milliseconds:
  cycle_ms        median over cycles within the official generate(), from the start of one draft
                  pass to that of the next, when it has generated at these lengths before
  cycle_first_ms  the same of the first time; attention kernels may be prepared for each length
  ar_step_ms      the same of its AR mode, transformers' own generate()
  draft_ms, verify_ms, ar_ms   a forward call alone, of 32, 32 and 1 rows, synchronized
"""
import argparse
import importlib.util
import json
import statistics
import sys
import time
from pathlib import Path

import torch
import transformers
from transformers.cache_utils import DynamicCache
from transformers.models.qwen3.modeling_qwen3 import Qwen3Config

BLOCK = 32
SHAPES = {  # hidden, intermediate, layers, heads, tied embeddings
    "qwen3-0.6b": (1024, 3072, 28, 16, True),
    "qwen3-1.7b": (2048, 6144, 28, 16, True),
    "qwen3-4b": (2560, 9728, 36, 32, True),
    "qwen3-8b": (4096, 12288, 36, 32, False),
}


class Enough(Exception):
    """Ends a generation: what was to be seen has been seen."""


def official_class(clone):
    spec = importlib.util.spec_from_file_location("official_model", clone / "src" / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.OrthrusLM


def make_model(model_class, name, layers, attention, device):
    hidden, intermediate, all_layers, heads, tied = SHAPES[name]
    config = Qwen3Config(
        vocab_size=151936, hidden_size=hidden, intermediate_size=intermediate,
        num_hidden_layers=layers or all_layers, num_attention_heads=heads, num_key_value_heads=8,
        head_dim=128, rms_norm_eps=1e-6, max_position_embeddings=40960,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=tied, eos_token_id=151645, pad_token_id=151643)
    config.block_size = BLOCK
    config.mask_token_id = 151669
    torch.manual_seed(1)
    with torch.device(device):
        return model_class._from_config(
            config, dtype=torch.bfloat16, attn_implementation=attention).eval()


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


def generation_ms(model, ids, drafts, count):
    """Times between the starts of `count` cycles (or AR steps) in the official generate()."""
    starts, shapes = [], set()

    def before_pass(_, arguments, named):
        if bool(named.get("is_diffusion_pass")) != drafts:
            return
        starts.append(time.perf_counter())
        if drafts or len(starts) > 1:  # the first AR pass is the prefill
            shapes.add(named["input_ids"].shape[1])
        if len(starts) > count + 1:
            raise Enough

    hook = model.register_forward_pre_hook(before_pass, with_kwargs=True)
    try:
        # Blocks shrink at the end, which is not come to.
        model.generate(ids, max_new_tokens=count + 2 * BLOCK, use_diffusion_mode=drafts)
    except Enough:
        pass
    finally:
        hook.remove()
    if len(starts) <= count + 1 or shapes != {BLOCK if drafts else 1}:
        raise RuntimeError(f"{len(starts)} passes, of rows {shapes}: it ended early")
    # Each ends in a token that the host waits for. The first is not counted.
    return [1e3 * (b - a) for a, b in zip(starts[1:], starts[2:])]


@torch.inference_mode()
def pass_ms(model, ids, rows, draft, device, repeat):
    """Forward calls alone, at the cache's end."""
    cache, context = DynamicCache(config=model.config), ids.shape[1]
    model(input_ids=ids, past_key_values=cache, use_cache=True)
    tokens = ids[:, :rows]
    positions = torch.arange(context, context + rows, device=ids.device).unsqueeze(0)
    named = ({"use_cache": False, "is_diffusion_pass": True, "ar_seq_len": context} if draft
             else {"use_cache": True})
    times = []
    for _ in range(repeat + 3):
        synchronize(device)
        start = time.perf_counter()
        model(input_ids=tokens, position_ids=positions, past_key_values=cache, **named)
        synchronize(device)
        times.append(1e3 * (time.perf_counter() - start))
        if not draft:
            cache.crop(-rows)
    return statistics.median(times[3:])


def measure(model_class, name, options):
    device = options.device
    model = make_model(model_class, name, options.layers, options.attention, device)
    ids = torch.randint(0, 150000, (1, options.context), device=device)
    first = generation_ms(model, ids, True, options.cycles)
    again = generation_ms(model, ids, True, options.cycles)
    generation_ms(model, ids, False, options.cycles)
    steps = generation_ms(model, ids, False, options.cycles)
    alone = {key: pass_ms(model, ids, rows, draft, device, options.cycles)
             for key, rows, draft in (("draft_ms", BLOCK, True), ("verify_ms", BLOCK, False),
                                      ("ar_ms", 1, False))}
    return {
        "model": name, "layers": model.config.num_hidden_layers, "context": options.context,
        "attention": options.attention, "cudnn_attention": not options.no_cudnn_attention,
        "cycles": options.cycles, "cycle_ms": statistics.median(again),
        "cycle_first_ms": statistics.median(first), "ar_step_ms": statistics.median(steps), **alone,
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "torch": torch.__version__, "transformers": transformers.__version__}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path, help="a clone of the official repository")
    parser.add_argument("--models", default="qwen3-8b,qwen3-1.7b", metavar="NAME,NAME",
                        help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--context", type=int, default=512, help="prompt tokens")
    parser.add_argument("--cycles", type=int, default=32, help="cycles, steps and calls to time")
    parser.add_argument("--attention", default="sdpa",
                        help="transformers' attn_implementation: sdpa, eager, flash_attention_2")
    parser.add_argument("--no-cudnn-attention", action="store_true",
                        help="keep sdpa from the kernels that cuDNN prepares for each length")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--layers", type=int, help="fewer layers than the shape has, to try it")
    options = parser.parse_args()
    names = options.models.split(",")
    for name in names:
        if name not in SHAPES:
            parser.error(f"--models: {name!r}; valid is {', '.join(SHAPES)}")
    for name, value, least in (("--context", options.context, 32), ("--cycles", options.cycles, 1),
                               ("--layers", options.layers, 1)):
        if value is not None and value < least:
            parser.error(f"{name} is {value}; valid is {least} or more")
    if not (options.clone / "src" / "model.py").is_file():
        parser.error(f"{options.clone}: there is no src/model.py")
    if options.no_cudnn_attention:
        torch.backends.cuda.enable_cudnn_sdp(False)
    model_class = official_class(options.clone)
    for name in names:
        print(json.dumps(measure(model_class, name, options)), flush=True)
        if options.device == "cuda":
            torch.cuda.empty_cache()
    return 0


if __name__ == "__main__":
    sys.exit(main())
