"""The three ways to serve the same closed loop of users: one at a time, in batches of equals, and our engine.

Each side takes the users' requests in the order they come (a user asks again as soon as a picture is there) and
returns how long each request took from asking to picture, and how long it all took.
"""

from __future__ import annotations

import inspect
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

import torch

from bench._painting import an_order, finished
from generation.engine.engine import Engine
from generation.engine.samplers import build_flow_scheduler, build_scheduler
from generation.jobs.protocol import GenerateCommand, Share
from generation.models.catalog import Model
from generation.requests.spec import ImageSpec

MAX_BATCH = 8


@dataclass
class Outcome:
    """Seconds from request to picture for every request, and of the whole run."""

    latencies_s: list[float] = field(default_factory=list)
    total_s: float = 0.0


@dataclass(frozen=True)
class Asked:
    """One request in the queue."""

    user: int
    spec: ImageSpec
    at_s: float


class Stock:
    """The stock diffusers pipeline with the model's weights, as a bot would hold it."""

    def __init__(self, model: Model, dtype: torch.dtype, device: torch.device) -> None:
        from diffusers import DiffusionPipeline

        loaded = DiffusionPipeline.from_pretrained(model.path, dtype=dtype, local_files_only=True)
        loaded.set_progress_bar_config(disable=True)
        self._pipeline: Any = loaded.to(device)
        self._config = dict(loaded.scheduler.config)
        self._build_scheduler = build_flow_scheduler if model.info.is_flow else build_scheduler
        self._takes_negative = "negative_prompt" in inspect.signature(type(loaded).__call__).parameters
        self._scale = "true_cfg_scale" if model.family == "qwenimage" else "guidance_scale"
        self._scale_of_one = 0.0 if model.family in ("zimage", "krea2") else 1.0

    def paint(self, specs: Sequence[ImageSpec]) -> None:
        """Generate requests that differ in prompt and seed only, as one call."""
        first = specs[0]
        self._pipeline.scheduler = self._build_scheduler(first.sampler, self._config)
        avoided = {"negative_prompt": [spec.negative for spec in specs]} if self._takes_negative else {}
        self._pipeline(
            prompt=[spec.prompt for spec in specs],
            **avoided,
            width=first.width_px,
            height=first.height_px,
            num_inference_steps=first.steps,
            **{self._scale: first.guidance - 1 + self._scale_of_one},
            generator=[torch.Generator("cpu").manual_seed(spec.seed) for spec in specs],
        )


class StockProcess:
    """The stock pipeline in a process of its own: beside an engine's threads, in one with it, it is slower."""

    def __init__(self, model: Model, dtype: torch.dtype, device: torch.device, threads: int) -> None:
        self._pool = ProcessPoolExecutor(1, get_context("spawn"), _open_stock, (model, dtype, device, threads))

    def serve(self, users: Sequence[Sequence[ImageSpec]], *, batched: bool) -> Outcome:
        """Do what `serve_stock` does."""
        return self._pool.submit(_serve_opened, users, batched).result()

    def close(self) -> None:
        self._pool.shutdown()


_opened: list[Stock] = []


def _open_stock(model: Model, dtype: torch.dtype, device: torch.device, threads: int) -> None:
    torch.set_num_threads(threads)
    _opened.append(Stock(model, dtype, device))


def _serve_opened(users: Sequence[Sequence[ImageSpec]], batched: bool) -> Outcome:
    return serve_stock(_opened[0], users, batched=batched)


def serve_stock(stock: Stock, users: Sequence[Sequence[ImageSpec]], *, batched: bool) -> Outcome:
    """(a) one request at a time, or (b) the oldest with all waiting ones of equal settings, eight at most."""
    outcome, started = Outcome(), time.perf_counter()
    todo = [deque(specs) for specs in users]
    line = [Asked(user, specs.popleft(), started) for user, specs in enumerate(todo)]
    while line:
        batch = [asked for asked in line if _settings(asked.spec) == _settings(line[0].spec)]
        batch = batch[: MAX_BATCH if batched else 1]
        stock.paint([asked.spec for asked in batch])
        now = time.perf_counter()
        line = [asked for asked in line if asked not in batch]
        for asked in batch:
            outcome.latencies_s.append(now - asked.at_s)
            if todo[asked.user]:
                line.append(Asked(asked.user, todo[asked.user].popleft(), now))
    outcome.total_s = time.perf_counter() - started
    return outcome


def serve_engine(engine: Engine, model: Model, users: Sequence[Sequence[ImageSpec]]) -> Outcome:
    """(c) all pictures are resident; each user is a guild of its own."""
    outcome, started = Outcome(), time.perf_counter()
    todo = [deque(specs) for specs in users]
    asked_at: dict[str, float] = {}

    def ask(user: int) -> None:
        if todo[user]:
            image_id = f"{user}-{len(todo[user])}"
            asked_at[image_id] = time.perf_counter()
            engine.admit(_order_of(image_id, todo[user].popleft(), user))

    for user in range(len(users)):
        ask(user)
    while not engine.is_idle:
        for end in finished(engine.step()):
            outcome.latencies_s.append(time.perf_counter() - asked_at[end.image_id])
            ask(int(end.image_id.partition("-")[0]))
    outcome.total_s = time.perf_counter() - started
    return outcome


def seconds_an_image(engine: Engine, model: Model, *, together: int, side_px: int, steps: int) -> float:
    """Return the time of one guided picture (encode, steps, decode) when `together` equal ones share forwards."""
    orders = [
        an_order(model, f"p-{index}", width_px=side_px, height_px=side_px, steps=steps, guidance=4.0, seed=index)
        for index in range(together)
    ]
    return _timed(lambda: _run(engine, orders)) / together


def _run(engine: Engine, orders: Sequence[GenerateCommand]) -> None:
    for order in orders:
        engine.admit(order)
    while not engine.is_idle:
        finished(engine.step())


def _order_of(image_id: str, spec: ImageSpec, user: int) -> GenerateCommand:
    return GenerateCommand(image_id=image_id, attempt=1, spec=spec, share=Share(user), check_safety=False)


def _settings(spec: ImageSpec) -> tuple[object, ...]:
    return spec.steps, spec.guidance, spec.sampler, spec.width_px, spec.height_px


def _timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
