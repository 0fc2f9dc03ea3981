"""Training: steps of teacher, student, loss and optimizer, and all that is around them."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import checkpoint, heads_file
from .acceptance import Measure, Way
from .base import Base
from .blocks import TILE, Blocks, training_blocks
from .checkpoint import Identity, Reached
from .dataset import Dataset
from .diffusion import Passes
from .errors import TrainError
from .heads import Heads
from .held_out import as_records, measured
from .log import Log
from .loss import Kind, Loss
from .memory import fitting_sequences
from .schedule import Progress, learning_rate
from .stopwatch import Stopwatch
from .workers import Workers

EVALUATED_TEMPERATURE = 1.0


@dataclass(frozen=True)
class TrainOptions:
    steps: int | None = None  # one of steps and minutes
    minutes: float | None = 10.0
    batch: int = 8  # sequences of a step, of each worker
    rows: int = 2048  # block rows of a sequence
    block_size: int = 16
    mask_token_id: int = 151669
    learning_rate: float = 6e-4
    warmup: int = 150  # steps
    loss: Kind = "kl"
    smoothing: float = 0.5
    seed: int = 0
    log_every: int = 50  # steps
    evaluations: int = 4  # on held-out texts, while training
    evaluated: int = 16  # of them, each time
    checkpoint_minutes: float = 2.0
    resume: bool = False
    init: Path | None = None
    pair_rank: int | None = None  # of the pairwise term, 0: none; None: what `init` has
    compiled: bool = True
    profile: bool = False


class Trainer:
    def __init__(
        self, base: Base, data: Dataset, directory: Path, workers: Workers, options: TrainOptions
    ):
        self.base = base
        self.directory = directory
        self.workers = workers
        self.options = options
        self.data = data
        self._check()
        self.heads = self._heads_to_begin_with()
        self.optimizer = torch.optim.AdamW(
            [self.heads.values],
            lr=options.learning_rate,
            betas=(0.9, 0.95),
            weight_decay=0.0,
            fused=base.device.type == "cuda",
        )
        self.at_a_time = fitting_sequences(
            base, self.heads, data.length, options.rows, options.batch
        )
        compiled = options.compiled and base.device.type == "cuda"
        self.passes = Passes(base, options.mask_token_id, compiled)
        self.loss = Loss(options.block_size, options.loss, options.smoothing, compiled)
        self.measure = Measure(
            self.passes,
            self.heads,
            options.block_size,
            self.at_a_time,
            options.rows,
            in_training=True,
        )
        self.identity = Identity(
            base=base.fingerprint(),
            base_name=base.config.name,
            block_size=options.block_size,
            mask_token_id=options.mask_token_id,
            rows=options.rows,
            batch=options.batch,
            workers=workers.count,
            loss=options.loss,
            pair_rank=self.heads.pair_rank,
            seed=options.seed,
        )
        self.reached = Reached()
        if options.resume:
            self.reached = checkpoint.load(directory, self.heads, self.optimizer, self.identity)
        # Sums since the log's last line: loss, whole blocks, and by position those that survive.
        self.figures = torch.zeros(2 + options.block_size, device=base.device)
        self.watch = Stopwatch(base.device, options.profile)

    def _check(self) -> None:
        options = self.options
        if (options.steps is None) == (options.minutes is None):
            raise TrainError("give one of --steps and --minutes.")
        if self.data.length <= 2 * options.block_size:
            raise TrainError(
                f"--block-size is {options.block_size}; the data's texts have {self.data.length} "
                "tokens and must have more than two blocks."
            )
        if options.rows % min(TILE, options.rows) or options.rows < options.block_size:
            raise TrainError(f"--rows is {options.rows}; it must be a multiple of {TILE}.")
        if not options.resume and (self.directory / checkpoint.NAME).exists():
            raise TrainError(
                f"{self.directory}: holds a training that --resume goes on with; "
                "give another directory to begin anew."
            )

    def _heads_to_begin_with(self) -> Heads:
        options = self.options
        init = None if options.init is None else heads_file.read(options.init)
        rank = options.pair_rank
        if rank is None:
            rank = 0 if init is None else init.pair_rank
        heads = Heads(self.base, rank)
        if init is not None and options.init is not None:
            heads.fill(init, options.init)
        return heads

    def run(self) -> Heads:
        options = self.options
        progress = Progress(self.workers, options.steps, options.minutes, self.reached.seconds)
        log = Log(self.directory, self.workers.first, self.reached.step)
        log.begin(self.settings())
        log.say(
            f"{len(self.data.training)} texts, {options.batch * options.rows:,} rows of blocks a step "
            f"of each of {self.workers.count}; the first step takes longer, on a GPU a minute or two"
        )
        saved = logged = 0.0  # set after the first step
        evaluated = math.floor(progress.at(self.reached.step) * options.evaluations)
        begun, norm, held_out = False, None, -1
        first = timed = self.reached.step  # since when figures are summed, and the clock runs
        while (fraction := progress.at(self.reached.step)) < 1:
            last_norm, norm = norm, self.step(fraction)
            # A step behind, so that the GPU is never waited for while it has nothing to do.
            if last_norm is not None and not math.isfinite(float(last_norm)):
                raise self._diverged(self.reached.step - 1)
            self.reached.step += 1
            if not begun:
                begun = True
                float(norm)  # waits for the device
                log.say(f"first step done in {progress.elapsed() - self.reached.seconds:.0f} s")
                progress.first_step_done()
                saved = logged = progress.elapsed()
                timed = self.reached.step
            if self.reached.step % options.log_every == 0:
                steps, clocked = self.reached.step - first, self.reached.step - timed
                summary = self._summary(fraction, progress.elapsed() - logged, steps, clocked)
                first = timed = self.reached.step
                log.step(summary, progress, fraction)
                late = progress.elapsed() - saved > options.checkpoint_minutes * 60
                if self.workers.of_first(float(late)):
                    self._save(progress, norm)
                    saved = progress.elapsed()
                logged = progress.elapsed()
            if math.floor(fraction * options.evaluations) > evaluated:
                evaluated = math.floor(fraction * options.evaluations)
                held_out, before = self.reached.step, progress.elapsed()
                log.held_out(held_out, self.evaluate())
                logged += progress.elapsed() - before
        self._save(progress, norm)
        if held_out != self.reached.step:
            log.held_out(self.reached.step, self.evaluate())
        return self.heads

    def step(self, fraction: float) -> torch.Tensor:
        """One update of the heads. Gives the gradient's norm, on the device."""
        options, reached = self.options, self.reached
        self.watch.mark("data")
        rng = np.random.default_rng([options.seed, self.workers.rank, reached.step])
        texts = self.data.batch(rng.choice(self.data.training, options.batch))
        blocks = training_blocks(rng, texts.own.numpy(), options.rows, options.block_size)
        for begin in range(0, options.batch, self.at_a_time):
            part = slice(begin, begin + self.at_a_time)
            self._backward(texts.tokens[part], Blocks(*(x[part] for x in blocks)))
        self.watch.mark("optimizer")
        gradient = self.heads.gradient
        self.workers.sum(gradient)
        gradient /= self.workers.count * (options.batch // self.at_a_time)
        norm: torch.Tensor = gradient.norm()
        # A gradient that is not finite changes nothing: the weights stay those of the step before.
        gradient *= (1 / norm).clamp(max=1)
        gradient.masked_fill_(~norm.isfinite(), 0)
        rate = learning_rate(options.learning_rate, reached.step, options.warmup, fraction)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        gradient.zero_()
        self.watch.mark("")
        return norm

    def _backward(self, ids: torch.Tensor, blocks: Blocks) -> None:
        """Adds the gradient of some sequences' mean loss."""
        device = self.base.device
        ids, blocks = ids.to(device, non_blocking=True), blocks.to(device)
        self.watch.mark("teacher")
        teacher = self.passes.teacher(ids)
        self.watch.mark("student forward")
        hidden = self.passes.student(self.heads, ids, blocks, teacher.kv)
        self.watch.mark("loss")
        gradient, figures = self.loss(
            hidden.detach(), teacher.hidden, self.base.head, blocks, ids, self.heads.pair
        )
        for one in figures:
            self.figures += torch.cat([torch.stack([one.loss, one.blocks]), one.survived])
        self.watch.mark("student backward")
        torch.autograd.backward(hidden, gradient)

    def evaluate(self) -> list[dict[str, Any]]:
        """Of a few held-out texts, which the workers share out."""
        chosen = self.data.held_out[: self.options.evaluated]
        ways = [Way(t, self.options.block_size) for t in (0.0, EVALUATED_TEMPERATURE)]
        return as_records(measured(self.measure, self.data, chosen, ways, self.workers))

    def settings(self) -> dict[str, Any]:
        """For the log."""
        return {
            **{k: str(v) if isinstance(v, Path) else v for k, v in vars(self.options).items()},
            "pair_rank": self.heads.pair_rank,
            "base": self.identity.base,
            "workers": self.workers.count,
            "sequences": len(self.data.training),
            "held_out": len(self.data.held_out),
            "length": self.data.length,
            "sequences_at_a_time": self.at_a_time,
        }

    def _summary(
        self, fraction: float, seconds: float, steps: int, clocked: int
    ) -> dict[str, Any]:
        """Of the steps since the last one. `clocked`: how many of them took the seconds."""
        options, workers = self.options, self.workers
        sums = workers.sum(self.figures).tolist()
        self.figures.zero_()
        whole = max(1.0, sums[1])
        by_position = [round(x / whole, 4) for x in sums[2:]]
        summary = {
            "step": self.reached.step,
            "fraction": round(fraction, 4),
            "loss": round(sums[0] / (steps * options.batch * workers.count), 5),
            "accepted": round(sum(by_position), 4),
            "by_position": by_position,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
        }
        if clocked > 0:
            rows = clocked * options.batch * options.rows * workers.count
            summary["rows_per_second"] = round(rows / max(seconds, 1e-9))
        if self.base.device.type == "cuda":
            summary["gigabytes"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
        if options.profile:
            summary["seconds_of_parts"] = {k: round(v, 3) for k, v in self.watch.totals().items()}
        return summary

    def _save(self, progress: Progress, norm: torch.Tensor | None) -> None:
        """Only what is known to be good: also of the last step."""
        if norm is not None and not math.isfinite(float(norm)):
            raise self._diverged(self.reached.step - 1)
        self.reached.seconds = progress.elapsed()
        if self.workers.first:
            checkpoint.save(self.directory, self.heads, self.optimizer, self.identity, self.reached)

    def export(self) -> None:
        """heads.safetensors in the directory, of the heads as they are."""
        if self.workers.first:
            options, name = self.options, self.base.config.name
            file = self.heads.in_file(options.block_size, options.mask_token_id, name)
            heads_file.write(file, self.directory / "heads.safetensors")

    def _diverged(self, step: int) -> TrainError:
        path = self.directory / checkpoint.NAME
        rest = (
            f"{path} is of before: try --resume with a lower --learning-rate."
            if path.exists()
            else "try a lower --learning-rate."
        )
        return TrainError(f"step {step}: the gradient is not finite; training stopped. {rest}")
