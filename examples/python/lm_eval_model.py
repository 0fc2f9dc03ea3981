"""lm-eval with the engine in the same process; all of lm-eval's options but for the model:

python lm_eval_model.py run --model orthrus --model_args model=MODEL --tasks arc_easy --limit 50
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

import orthrus

try:
    from lm_eval.__main__ import cli_evaluate
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import TemplateLM
    from lm_eval.api.registry import register_model
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
    from tqdm import tqdm
except ModuleNotFoundError as error:
    print(f"{__doc__}\n{error}: pip install lm-eval", file=sys.stderr)
    sys.exit(2)

CHUNK = 256  # requests that are given to the engine together
Pair = tuple[list[int], list[int]]  # context, and what is scored


@register_model("orthrus")
class OrthrusLM(TemplateLM):  # type: ignore[misc]
    """`model_args` are Engine's: model=PATH,device=cuda,weights=q8_0."""

    def __init__(self, model: str, max_gen_toks: int = 256, **options: Any) -> None:
        super().__init__()
        # What lm-eval gives to every model.
        for name in ("batch_size", "max_batch_size"):
            options.pop(name, None)
        # It also names cuda:0 where nobody chose a device.
        if options.get("device") is None or orthrus.cuda_devices() == 0:
            options["device"] = "auto"
        self.engine = orthrus.Engine(model, **options)
        self.name = os.path.basename(model)
        self.max_gen_toks = max_gen_toks
        # A prompt leaves room for one token.
        self.max_length = self.engine.config.max_position_embeddings - 1

    @property
    def eot_token_id(self) -> int:
        return self.engine.config.eos_token_ids[0]

    @property
    def tokenizer_name(self) -> str:
        return self.name

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        return self.engine.config.chat_format if chat_template else None

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        return self.engine.tokenizer.apply_chat_template(
            chat_history,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: Any
    ) -> list[int]:
        encode = self.engine.tokenizer.encode
        ids: list[int] = encode(string, add_special_tokens=bool(add_special_tokens)).tolist()
        return ids

    def _loglikelihood_tokens(
        self, requests: list[tuple[Any, list[int], list[int]]], disable_tqdm: bool = False, **_: Any
    ) -> list[tuple[float, bool]]:
        pairs = [(context, continuation) for _, context, continuation in requests]
        return self._score(pairs, disable_tqdm)

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        windows: list[Pair] = []
        owners: list[int] = []
        for i, (text,) in enumerate(request.args for request in requests):
            for window in get_rolling_token_windows(
                self.tok_encode(text), self.prefix_token_id, self.max_length - 1, 1
            ):
                windows.append(make_disjoint_window(window))
                owners.append(i)
        totals = [0.0] * len(requests)
        for owner, (logprob, _) in zip(owners, self._score(windows, disable_tqdm)):
            totals[owner] += logprob
        return totals

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        texts: list[str] = []
        for chunk in _chunks(requests, "Generating", disable_tqdm):
            prompts, params = [], []
            for context, wishes in (request.args for request in chunk):
                own = self._params(wishes)
                room = self.max_length + 1 - min(own.max_tokens or 1, self.max_length)
                prompts.append(self.tok_encode(context)[-room:])
                params.append(own)
            texts += [generation.text for generation in self.engine.generate(prompts, params)]
        return texts

    def _params(self, wishes: dict[str, Any]) -> orthrus.SamplingParams:
        until = wishes.get("until") or []
        sampled = wishes.get("do_sample", "temperature" in wishes)
        return orthrus.SamplingParams(
            max_tokens=wishes.get("max_gen_toks", self.max_gen_toks),
            temperature=wishes.get("temperature", 1.0) if sampled else 0.0,
            top_p=wishes.get("top_p", 1.0),
            top_k=wishes.get("top_k", 0),
            repetition_penalty=1.0,
            stop=[until] if isinstance(until, str) else [stop for stop in until if stop],
            seed=0,
        )

    def _score(self, pairs: list[Pair], disable_tqdm: bool) -> list[tuple[float, bool]]:
        """Of each continuation its log-probability, and whether it is the greedy one."""
        params = orthrus.SamplingParams(max_tokens=1, temperature=0, mode="ar", prompt_logprobs=1)
        scores: list[tuple[float, bool]] = []
        for chunk in _chunks(pairs, "Scoring", disable_tqdm):
            texts = [
                (context + continuation)[-self.max_length :] for context, continuation in chunk
            ]
            for (_, continuation), text, generation in zip(
                chunk, texts, self.engine.generate(texts, params)
            ):
                assert generation.prompt_logprobs is not None
                count = min(len(continuation), len(text) - 1)
                chosen = generation.prompt_logprobs.chosen[-count:] if count else np.zeros(0)
                likeliest = generation.prompt_logprobs.top_ids[len(text) - 1 - count :, 0]
                scores.append(
                    (
                        float(chosen.sum(dtype=np.float64)),
                        likeliest.tolist() == text[len(text) - count :],
                    )
                )
        return scores


def _chunks(items: list[Any], title: str, quiet: bool) -> Iterable[list[Any]]:
    with tqdm(total=len(items), desc=title, disable=quiet) as bar:
        for first in range(0, len(items), CHUNK):
            chunk = items[first : first + CHUNK]
            yield chunk
            bar.update(len(chunk))


if __name__ == "__main__":
    cli_evaluate()
