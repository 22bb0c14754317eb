"""Takes one step of several images' samplers at once, where that has the bits of diffusers' objects.

A scheduler's step is five to ten operations on latents of a few thousand numbers: starting them takes longer than
computing them. Rules without memory of earlier steps and without noise (Euler, DDIM, Euler of flow matching) need a few
numbers for each step, so here every operation runs once for all images of a forward (`torch._foreach_*`), in the same
order as in the objects, on tensors that stay each image's own. Samplers with memory or noise keep to their objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor

Tensors = list[Tensor] | tuple[Tensor, ...]
Columns = Sequence[Sequence[float]]
"""The numbers of a rule, each for all images."""
Stepped = tuple[Tensor, Tensor]
"""As `Sampling.step` returns it."""


class Table(NamedTuple):
    """How an image takes its steps."""

    run: Callable[[Tensors, Tensors, Columns], tuple[Tensors, Tensors]]
    """From latents, predictions and numbers to the next latents and the guesses."""
    numbers: list[tuple[float, ...]]
    """By place in the schedule."""


class HasTable(Protocol):
    """What is asked of a `Sampling`."""

    scheduler: Any
    begin: int
    table: Table | None


def step_together(
    samplings: Sequence[HasTable], predictions: Sequence[Tensor], indexes: Sequence[int], latents: Sequence[Tensor]
) -> list[Stepped | None]:
    """Return what `Sampling.step` of each would, and leave its object as after that; None where there is no table."""
    stepped: list[Stepped | None] = [None] * len(samplings)
    groups: dict[Any, list[tuple[int, tuple[float, ...]]]] = {}
    for number, (sampling, index) in enumerate(zip(samplings, indexes, strict=True)):
        if sampling.table is not None:
            place = sampling.begin + index
            groups.setdefault(sampling.table.run, []).append((number, sampling.table.numbers[place]))
    for run, members in groups.items():
        chosen = [number for number, _ in members]
        columns = [[*column] for column in zip(*(each for _, each in members), strict=True)]
        pairs = zip(
            *run([latents[each] for each in chosen], [predictions[each] for each in chosen], columns), strict=True
        )
        for number, pair in zip(chosen, pairs, strict=True):
            stepped[number] = pair
    for sampling, index, pair_or_none in zip(samplings, indexes, stepped, strict=True):
        if pair_or_none is not None and hasattr(sampling.scheduler, "_step_index"):
            sampling.scheduler._step_index = sampling.begin + index + 1  # by which it scales the next input
    return stepped


def find_table(scheduler: Any) -> Table | None:
    """Return what equals a scheduler's steps bit for bit, in float32, once its timesteps are set; None if nothing."""
    config, kind = scheduler.config, type(scheduler)
    if kind is FlowMatchEulerDiscreteScheduler and not config.stochastic_sampling:
        return Table(_run_flow, _list_sigmas(scheduler))
    if kind is EulerDiscreteScheduler and config.prediction_type in _EULER:
        return Table(_EULER[config.prediction_type], _list_sigmas(scheduler))
    if kind is DDIMScheduler and config.prediction_type in _DDIM and not (config.thresholding or config.clip_sample):
        return Table(_DDIM[config.prediction_type], _list_alphas(scheduler))
    return None


def _list_sigmas(scheduler: Any) -> list[tuple[float, ...]]:
    sigmas = scheduler.sigmas[:-1]
    scales = sigmas**2 + 1
    return _transpose(sigmas, scheduler.sigmas[1:] - sigmas, -sigmas / scales**0.5, scales)


def _list_alphas(scheduler: Any) -> list[tuple[float, ...]]:
    alphas, times = scheduler.alphas_cumprod, scheduler.timesteps
    later = times - scheduler.config.num_train_timesteps // scheduler.num_inference_steps
    now = alphas[times]
    next_ = torch.where(later >= 0, alphas[later.clamp(min=0)], scheduler.final_alpha_cumprod)
    return _transpose(now**0.5, (1 - now) ** 0.5, next_**0.5, (1 - next_) ** 0.5)


def _transpose(*columns: Tensor) -> list[tuple[float, ...]]:
    return [*zip(*(each.tolist() for each in columns), strict=True)]


def _divide(tensors: Tensors, by: Sequence[float]) -> Tensors:
    """Divide as torch divides by one number: on a card it multiplies with the number's inverse."""
    if tensors[0].device.type == "cuda":
        return torch._foreach_mul(tensors, (1 / torch.tensor(by, dtype=torch.float32)).tolist())
    return torch._foreach_div(tensors, by)


def _run_euler(latents: Tensors, predictions: Tensors, columns: Columns) -> tuple[Tensors, Tensors]:
    guesses = torch._foreach_sub(latents, torch._foreach_mul(predictions, columns[0]))
    return _follow(latents, guesses, columns), guesses


def _run_euler_v(latents: Tensors, predictions: Tensors, columns: Columns) -> tuple[Tensors, Tensors]:
    _, _, out, skip = columns
    guesses = torch._foreach_add(torch._foreach_mul(predictions, out), _divide(latents, skip))
    return _follow(latents, guesses, columns), guesses


def _follow(latents: Tensors, guesses: Tensors, columns: Columns) -> Tensors:
    slopes = _divide(torch._foreach_sub(latents, guesses), columns[0])
    return torch._foreach_add(latents, torch._foreach_mul(slopes, columns[1]))


def _run_ddim(latents: Tensors, predictions: Tensors, columns: Columns) -> tuple[Tensors, Tensors]:
    clean, noise, *_ = columns
    guesses = _divide(torch._foreach_sub(latents, torch._foreach_mul(predictions, noise)), clean)
    return _mix(guesses, predictions, columns), guesses


def _run_ddim_v(latents: Tensors, predictions: Tensors, columns: Columns) -> tuple[Tensors, Tensors]:
    clean, noise, *_ = columns
    guesses = torch._foreach_sub(torch._foreach_mul(latents, clean), torch._foreach_mul(predictions, noise))
    noises = torch._foreach_add(torch._foreach_mul(predictions, clean), torch._foreach_mul(latents, noise))
    return _mix(guesses, noises, columns), guesses


def _mix(guesses: Tensors, noises: Tensors, columns: Columns) -> Tensors:
    return torch._foreach_add(torch._foreach_mul(guesses, columns[2]), torch._foreach_mul(noises, columns[3]))


def _run_flow(latents: Tensors, predictions: Tensors, columns: Columns) -> tuple[Tensors, Tensors]:
    sigmas, changes, *_ = columns
    moved = torch._foreach_add(latents, torch._foreach_mul(predictions, changes))
    return moved, torch._foreach_sub(latents, torch._foreach_mul(predictions, sigmas))


_EULER = {"epsilon": _run_euler, "v_prediction": _run_euler_v}
_DDIM = {"epsilon": _run_ddim, "v_prediction": _run_ddim_v}
