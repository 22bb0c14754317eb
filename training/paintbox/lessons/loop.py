"""The training loop all lessons share: AdamW with a cosine, checkpoints, exact resume, a progress bar.

Every step draws its chance from (seed, step) alone, so a run that was stopped and resumed meets the same batches as
one that was not.
"""

import contextlib
import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_WARMUP_STEPS: Final = 50


@functools.cache
def bfloat16_pays() -> bool:
    """Return whether bfloat16 is faster here: twice as fast with units for it, else far slower.

    Measured, because no public call tells the two apart.
    """

    def seconds(dtype: torch.dtype) -> float:
        factor = torch.ones(1024, 1024, dtype=dtype)
        factor @ factor
        taken = []
        for _ in range(5):
            started = time.perf_counter()
            factor @ factor
            taken.append(time.perf_counter() - started)
        return min(taken)

    return seconds(torch.bfloat16) < 0.8 * seconds(torch.float32)


@dataclass(frozen=True)
class Plan:
    """How long and how hard to train one network."""

    name: str
    steps: int
    learning_rate: float
    runs: Path
    seed: int = 0
    device: str = "cpu"
    weight_decay: float = 0.01
    ema_decay: float | None = None
    muon: bool = False
    save_every_s: float = 60.0

    @property
    def checkpoint(self) -> Path:
        """Where the newest state lies."""
        return self.runs / f"{self.name}.pt"

    @property
    def curve(self) -> Path:
        """Where the loss curve lies: lines of `step<TAB>loss`."""
        return self.runs / f"{self.name}.tsv"

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Use bfloat16 on CUDA and on processors where it pays; plain float32 elsewhere."""
        if self.device.startswith("cuda"):
            return torch.autocast("cuda", torch.bfloat16)
        if self.device == "cpu" and bfloat16_pays():
            return torch.autocast("cpu", torch.bfloat16)
        return contextlib.nullcontext()


@dataclass(frozen=True)
class Chance:
    """All the randomness of one step."""

    step: int
    torch: torch.Generator
    numpy: np.random.Generator


def chance(seed: int, step: int) -> Chance:
    """Return the generators of one step: a function of seed and step only."""
    # torch's CPU generator heeds only the low 32 bits of a seed, so seed and step are hashed into them.
    (mixed,) = np.random.SeedSequence([seed, step]).generate_state(1)
    return Chance(step, torch.Generator().manual_seed(int(mixed)), np.random.default_rng([seed, step]))


def rate(plan: Plan, step: int) -> float:
    """Return the learning rate of a step: a short warm-up, then a cosine down to a fiftieth."""
    if step < _WARMUP_STEPS:
        return plan.learning_rate * (step + 1) / _WARMUP_STEPS
    share = min(1.0, step / plan.steps)
    return plan.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


class Optimiser:
    """Muon (Jordan 2024) for the weights that multiply, AdamW for embeddings, norms, biases and the outermost layers.

    torch's Muon takes matrices only. A convolution's kernel is shown to it as (out, height * width * in): a view of
    the same memory, so a step of the view is a step of the kernel. Its steps are scaled to AdamW's size.
    """

    def __init__(self, plan: Plan, module: torch.nn.Module) -> None:
        trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        inner = {name: p for name, p in trained.items() if plan.muon and _is_inner(name, p)}
        self._kernels = [(p, torch.nn.Parameter(_matrix(p.data))) for p in inner.values()]
        outer = [p for name, p in trained.items() if name not in inner]
        decay = plan.weight_decay
        self._parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(outer, plan.learning_rate, betas=(0.9, 0.99), weight_decay=decay)
        ]
        if inner:
            matrices = [matrix for _, matrix in self._kernels]
            self._parts.append(
                torch.optim.Muon(matrices, plan.learning_rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
            )
        self.trained = list(trained.values())

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.trained:
            parameter.grad = None

    def step(self, learning_rate: float) -> None:
        """Take one step of this size against the gradients, clipped to length 1."""
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        for parameter, matrix in self._kernels:
            assert parameter.grad is not None
            matrix.grad = _matrix(parameter.grad)
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = learning_rate
            part.step()

    def state(self) -> list[Any]:
        """Return all moments, for a checkpoint."""
        return [part.state_dict() for part in self._parts]

    def load(self, saved: list[Any]) -> None:
        """Take up saved moments."""
        for part, state in zip(self._parts, saved, strict=True):
            part.load_state_dict(state)


_OUTERMOST: Final = frozenset(
    (
        "token_embedding",
        "position_embedding",
        "time_embedding",
        "patch_embedding",
        "conv_in",
        "conv_out",
        "first_convolution",
        "upsample",
    )
)
"""Modules whose inputs or outputs are not features: Muon is not made for them."""


def _is_inner(name: str, parameter: torch.Tensor) -> bool:
    return parameter.ndim in (2, 4) and not _OUTERMOST.intersection(name.split("."))


def _matrix(kernel: torch.Tensor) -> torch.Tensor:
    """Return (out, everything else), sharing memory."""
    if kernel.ndim == 2:
        return kernel
    if kernel.is_contiguous():
        return kernel.view(kernel.shape[0], -1)
    return kernel.permute(0, 2, 3, 1).view(kernel.shape[0], -1)


class Average:
    """An exponential moving average of a network's weights (with a short memory at the start)."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self._decay = decay
        self._values = [p.detach().clone() for p in module.parameters()]

    @torch.no_grad()
    def update(self, module: torch.nn.Module, step: int) -> None:
        """Move towards the module's weights as they are after `step`."""
        keep = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._values, [p.detach() for p in module.parameters()], 1 - keep)

    @torch.no_grad()
    def copy_to(self, module: torch.nn.Module) -> None:
        """Put the averaged weights into the module."""
        for parameter, value in zip(module.parameters(), self._values, strict=True):
            parameter.copy_(value)

    def state(self) -> list[torch.Tensor]:
        """Return the averaged weights, in the order of the module's parameters."""
        return self._values

    def load(self, values: list[torch.Tensor]) -> None:
        """Take up saved averages."""
        for mine, saved in zip(self._values, values, strict=True):
            mine.copy_(saved)


def train(plan: Plan, module: torch.nn.Module, loss_of: Callable[[Chance], torch.Tensor]) -> None:
    """Train `module` in place until `plan.steps`; it ends with the averaged weights where an average is kept.

    `loss_of` draws a batch from the step's chance and returns a scalar loss.
    """
    optimiser = Optimiser(plan, module)
    average = None if plan.ema_decay is None else Average(module, plan.ema_decay)
    start = _resume(plan, module, optimiser, average)
    saved_at = time.monotonic()
    recent: list[float] = []
    with _bar() as bar, plan.curve.open("a") as curve:
        task = bar.add_task(plan.name, total=plan.steps, completed=start, loss=math.nan)
        for step in range(start, plan.steps):
            recent.append(_one_step(plan, optimiser, loss_of, step))
            if average is not None:
                average.update(module, step)
            if (step + 1) % 20 == 0:
                mean = sum(recent) / len(recent)
                curve.write(f"{step + 1}\t{mean:.6f}\n")
                curve.flush()
                bar.update(task, completed=step + 1, loss=mean)
                recent.clear()
            if time.monotonic() - saved_at > plan.save_every_s or step + 1 == plan.steps:
                _save(plan, module, optimiser, average, step + 1)
                saved_at = time.monotonic()
    if average is not None:
        average.copy_to(module)


def _one_step(plan: Plan, optimiser: Optimiser, loss_of: Callable[[Chance], torch.Tensor], step: int) -> float:
    optimiser.zero_grad()
    with plan.autocast():
        loss = loss_of(chance(plan.seed, step))
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step(rate(plan, step))
    return float(loss.detach())


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TextColumn("loss {task.fields[loss]:.4f}"), TimeRemainingColumn())


def _save(plan: Plan, module: torch.nn.Module, optimiser: Optimiser, average: Average | None, step: int) -> None:
    state = {"step": step, "module": module.state_dict(), "optimiser": optimiser.state()}
    if average is not None:
        state["average"] = average.state()
    partial = plan.checkpoint.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(plan.checkpoint)


def _resume(plan: Plan, module: torch.nn.Module, optimiser: Optimiser, average: Average | None) -> int:
    """Take up the newest checkpoint, if any; the step to go on from."""
    plan.runs.mkdir(parents=True, exist_ok=True)
    if not plan.checkpoint.exists():
        return 0
    state = torch.load(plan.checkpoint, map_location=plan.device, weights_only=True)
    module.load_state_dict(state["module"])
    optimiser.load(state["optimiser"])
    if average is not None:
        average.load(state["average"])
    return int(state["step"])


def restore(plan: Plan, module: torch.nn.Module) -> int:
    """Load what a lesson has learnt so far into `module`, averaged where an average is kept; its step.

    Raise FileNotFoundError when the lesson has not begun.
    """
    state = torch.load(plan.checkpoint, map_location="cpu", weights_only=True)
    module.load_state_dict(state["module"])
    if "average" in state:
        average = Average(module, 0.0)
        average.load(state["average"])
        average.copy_to(module)
    return int(state["step"])
