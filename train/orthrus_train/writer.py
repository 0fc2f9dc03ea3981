"""Lets a base write many sequences at once, from their prompts to one length, token by token.

All sequences are at the same position; a prompt's tokens are forced, one a step, while others
already write. Where an answer ends, the base asks the next question itself, and answers it.
On a GPU each step is a CUDA graph (one for each span of the cache that it looks at), so that the
processor's part does not matter; on the processor the same code runs as it stands.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from . import chat
from .base import Base
from .config import BaseConfig
from .dataset import GREEDY, SAMPLED
from .errors import TrainError
from .network import (
    Layer,
    linear,
    mlp,
    project_output,
    project_qkv,
    rms_norm,
    rope_tables,
)
from .prompt_source import ANSWERING, ASKING, OPENING, WRITING, Prompt
from .vocabulary import choosable, encode, end_ids

SPAN = 256  # spans of the cache are multiples of it
OPENING_TOKENS = 32  # sampled at the beginning of a document; from there on the text is its own
QUESTION_TOKENS = (
    160  # of a question at most; longer ones are ended there, to leave room for answers
)
MIN_P = 0.05  # tokens less likely than this share of the likeliest one are not sampled
_HEADROOM = 0.85  # of a GPU's free memory


def _as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


class Written(NamedTuple):
    tokens: Tensor  # int32 [batch, length], on the processor
    own: Tensor  # uint8 [batch, length]: see dataset.py


def bytes_per_sequence(base: Base, length: int) -> int:
    """Memory that one sequence takes: its keys and values, and its row of logits in a step."""
    c = base.config
    cache = 2 * c.layers * c.kv_heads * c.head_dim * length * base.dtype.itemsize
    return cache + c.vocab_size * (base.dtype.itemsize + 6 * 4)


def fitting_batch(base: Base, length: int, wanted: int | None) -> int:
    """How many sequences to write at once. Throws TrainError where `wanted` do not fit."""
    if base.device.type != "cuda":
        return wanted or 16
    free, _ = torch.cuda.mem_get_info(base.device)
    fits = int(free * _HEADROOM) // bytes_per_sequence(base, length)
    if fits < (wanted or 8):
        raise TrainError(
            f"{free / 1e9:.1f} GB of memory are free on {base.device}; {max(fits, 0)} sequences of "
            f"{length} tokens fit, not {wanted or 8}: take shorter ones or a smaller batch."
        )
    return wanted or min(1024, fits // 8 * 8)


def choose(logits: Tensor, allowed: Tensor, temperature: Tensor, uniform: Tensor) -> Tensor:
    """One id a row: the likeliest at temperature 0, else sampled with Gumbel's trick.

    `logits` and `uniform` (of numbers in [0, 1)) are [batch, vocab_size], `temperature` [batch, 1].
    """
    logits = logits.float().masked_fill(~allowed, -math.inf)
    floor = logits.amax(-1, keepdim=True) + math.log(MIN_P) * temperature
    noise = -torch.log(-torch.log(uniform.clamp(1e-9, 1 - 1e-7)))
    return (logits + temperature * noise).masked_fill(logits < floor, -math.inf).argmax(-1)


def before_attention(
    x: Tensor, layer: Layer, config: BaseConfig, cos: Tensor, sin: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    h = rms_norm(x, layer["input_layernorm.weight"], config.rms_norm_eps)
    return project_qkv(h, layer, config, cos, sin)


def after_attention(x: Tensor, attended: Tensor, layer: Layer, config: BaseConfig) -> Tensor:
    return mlp(x + project_output(attended, layer), layer, config)


class Writer:
    """The static tensors of `batch` sequences of `length` tokens, and a step over them.

    `compiles` is whether what stands between matrix products is fused by torch.compile, which
    takes half a minute and then saves a third of the time.
    """

    def __init__(
        self, base: Base, batch: int, length: int, longest_prompt: int, compiles: bool = False
    ) -> None:
        c, device = base.config, base.device
        fused = partial(torch.compile, dynamic=False, fullgraph=True) if compiles else _as_it_is
        self._before, self._after = fused(before_attention), fused(after_attention)
        self._choice = fused(choose)
        self.base, self.batch, self.length = base, batch, length
        self.allowed = choosable(base.tokenizer, c.vocab_size, c.eos_ids).to(device)
        self.ends = torch.tensor(end_ids(base.tokenizer, c.eos_ids), device=device)
        end = base.tokenizer.token_to_id(chat.END)
        self.end_of_turn = self.ends[0] if end is None else torch.tensor(end, device=device)
        self.cos, self.sin = rope_tables(c, torch.arange(length, device=device))
        self.places = torch.arange(length, device=device)
        self._make_headers(device)
        self.queue_size = max(longest_prompt, self.headers.shape[1]) + 1

        def ints(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.long, device=device)

        self.position = ints()
        self.token, self.role = ints(batch), ints(batch)
        self.until = ints(batch)  # where a question must end, or a document's opening
        # Tokens that are forced: queued ones from queue_at up to queue_end.
        self.queue = ints(batch, self.queue_size)
        self.queue_at, self.queue_end = ints(batch), ints(batch)
        self.answer_header = ints(batch)
        self.temperature = torch.zeros(batch, device=device)
        self.tokens = torch.zeros(batch, length, dtype=torch.int32, device=device)
        # One column more: the last step chooses a token that no sequence has.
        self.own = torch.zeros(batch, length + 1, dtype=torch.uint8, device=device)
        shape = (c.layers, batch, c.kv_heads, length, c.head_dim)
        self.keys = torch.zeros(shape, dtype=base.dtype, device=device)
        self.values = torch.zeros_like(self.keys)
        self._steps = self._make_steps()

    def _make_headers(self, device: torch.device) -> None:
        """What follows the end of a turn: the user's header, and the answer's, plain or thinking.

        A base without chat has none: there a text is followed by another one.
        """
        name, tokenizer = self.base.config.chat, self.base.tokenizer
        texts = [""] * 3
        if name != "none":
            answers = ["\n" + chat.assistant_header(name, thinking) for thinking in (False, True)]
            texts = [chat.next_user_header(), *answers]
        headers = [encode(tokenizer, text) for text in texts]
        width = max(1, *(len(h) for h in headers))
        self.headers = torch.tensor([h + [0] * (width - len(h)) for h in headers], device=device)
        self.header_sizes = torch.tensor([len(h) for h in headers], device=device)

    def _make_steps(self) -> dict[int, Callable[[], None]]:
        """For each span, in ascending order: a step that looks at no more of the cache."""
        spans = sorted({min(s, self.length) for s in range(SPAN, self.length + SPAN, SPAN)})
        if self.base.device.type != "cuda":
            return {span: partial(self._step, span) for span in spans}
        steps: dict[int, Callable[[], None]] = {}
        pool = None
        for span in spans:
            # Libraries choose their kernels and take their memory before the capture.
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(2):
                    self.position.zero_()
                    self._step(span)
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            # Graphs never run at the same time, so that they may share what they compute in.
            with torch.cuda.graph(graph, pool=pool):
                self._step(span)
            pool = pool or graph.pool()
            steps[span] = graph.replay
        return steps

    def _step(self, span: int) -> None:
        """Writes the tokens at `position`, and chooses those that follow."""
        here = self.position[None]
        self.tokens.index_copy_(1, here, self.token[:, None].int())
        chosen = self._choose(self._logits(span))
        forced = self.queue_at < self.queue_end
        at = self.queue_at.clamp(max=self.queue_size - 1)
        too_long = (self.role == ASKING) & (self.position >= self.until)
        chosen = torch.where(too_long, self.end_of_turn, chosen)
        chosen = torch.where(forced, self.queue.gather(1, at[:, None])[:, 0], chosen)
        is_own = ~forced & ((self.role == ANSWERING) | (self.role == WRITING))
        label = torch.where(self.temperature > 0, SAMPLED, GREEDY)
        self.own.index_copy_(1, here + 1, torch.where(is_own, label, 0)[:, None].to(torch.uint8))
        self.queue_at.add_(forced.long())
        self._take_turns(~forced & (chosen[:, None] == self.ends).any(-1))
        self.token.copy_(chosen)
        self.position.add_(1)

    def _logits(self, span: int) -> Tensor:
        """[batch, vocab_size] after the token at `position`, whose keys are kept."""
        c, here = self.base.config, self.position[None]
        cos, sin = self.cos.index_select(0, here), self.sin.index_select(0, here)
        x = F.embedding(self.token, self.base.embed)[:, None]
        mask = (self.places[:span] <= self.position).expand(self.batch, 1, 1, span)
        for i, layer in enumerate(self.base.layers):
            q, k, v = self._before(x, layer, c, cos, sin)
            self.keys[i].index_copy_(2, here, k)
            self.values[i].index_copy_(2, here, v)
            # The query heads of one key head are rows of one product: no keys are repeated.
            q = q.reshape(self.batch, c.kv_heads, c.heads // c.kv_heads, c.head_dim)
            attended = F.scaled_dot_product_attention(
                q, self.keys[i][:, :, :span], self.values[i][:, :, :span], attn_mask=mask
            )
            attended = attended.reshape(self.batch, c.heads, 1, c.head_dim)
            x = self._after(x, attended, layer, c)
        return linear(self.base.final_norm(x[:, 0]), self.base.head)

    def _choose(self, logits: Tensor) -> Tensor:
        is_question = (self.role == ASKING) | (self.role == OPENING)
        temperature = torch.where(is_question, 1.0, self.temperature)[:, None]
        uniform = torch.rand(logits.shape, device=logits.device)
        chosen: Tensor = self._choice(logits, self.allowed, temperature, uniform)
        return chosen

    def _take_turns(self, over: Tensor) -> None:
        """After a question an answer, after anything else a question, or another text."""
        has_chat = self.base.config.chat != "none"
        if has_chat:
            role = torch.where(self.role == ASKING, ANSWERING, ASKING)
        else:
            role = torch.full_like(self.role, OPENING)
        until = self.position + (QUESTION_TOKENS if has_chat else OPENING_TOKENS)
        self.until.copy_(torch.where(over, until, self.until))
        header = torch.where(role == ANSWERING, self.answer_header, 0)
        width = self.headers.shape[1]
        queue = self.queue[:, :width]
        queue.copy_(torch.where(over[:, None], self.headers.index_select(0, header), queue))
        self.queue_at.copy_(torch.where(over, 0, self.queue_at))
        sizes = self.header_sizes.index_select(0, header)
        self.queue_end.copy_(torch.where(over, sizes, self.queue_end))
        self.role.copy_(torch.where(over, role, self.role))
        is_open = (self.role == OPENING) & (self.position >= self.until)
        self.role.copy_(torch.where(is_open, WRITING, self.role))

    def write(
        self,
        prompts: Sequence[Prompt],
        temperatures: Sequence[float],
        seed: int,
        watch: Callable[[int], None] = lambda count: None,
    ) -> Written:
        """Sequences that begin with these prompts: the same ones for the same arguments.

        `watch` is called after each step, with the number of tokens.
        """
        queue = torch.zeros(self.batch, self.queue_size, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            queue[row, : len(prompt.ids)] = torch.tensor(prompt.ids)
        self.queue.copy_(queue)
        self.token.copy_(self.queue[:, 0])
        self.queue_at.fill_(1)
        self.queue_end.copy_(torch.tensor([len(p.ids) for p in prompts]))
        self.role.copy_(torch.tensor([p.role for p in prompts]))
        self.answer_header.copy_(torch.tensor([2 if p.thinking else 1 for p in prompts]))
        self.temperature.copy_(torch.tensor(temperatures))
        has_chat = self.base.config.chat != "none"
        self.until.fill_((QUESTION_TOKENS if has_chat else OPENING_TOKENS) - 1)
        self.position.zero_()
        self.own.zero_()
        torch.manual_seed(seed)
        spans = iter(self._steps.items())
        span, step = next(spans)
        for position in range(self.length):
            if position == span:
                span, step = next(spans)
            step()
            if position % 128 == 127 and self.base.device.type == "cuda":
                torch.cuda.synchronize()  # so that who watches sees the GPU's pace
            watch(self.batch)
        return Written(self.tokens.cpu(), self.own[:, : self.length].cpu())
