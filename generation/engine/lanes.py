"""Runs the turns of an engine: one at a time on all threads, or two at once on half of a processor's threads each.

Every operation of a forward ends with the slowest of its threads, and small ones hardly use a second core. So where
there is work for two turns they run side by side, and get 1.3 to 1.5 times as much done (docs/performance.md). A turn
alone has all threads: it ends sooner. Bits may depend on the number of threads, so the trace of an image says which of
its forwards had a part of them (`Forward.threads`), and its end is decoded with as many as its last forward had.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any

import torch
from torch import Tensor

from generation.engine.batch import Batches, list_rows, rows_of
from generation.engine.control.forward import ControlForwards
from generation.engine.devices import Device
from generation.engine.error_classes import is_out_of_memory
from generation.engine.ip_adapter.attention import attending
from generation.engine.packed_convolutions import computing
from generation.engine.postprocess import decode
from generation.engine.slot import Slot, find_denoiser
from generation.engine.step_cache import Kept, caching
from generation.engine.thread_choice import ThreadChoice
from generation.engine.threads import use_threads
from generation.engine.work_item import UpscaleItem, WorkItem
from generation.requests.recipe import Forward

Prediction = tuple[Tensor, Forward]
"""An image's rows of a forward, and what its trace says of them."""


class Lane:
    """The buffers of one turn."""

    def __init__(self, device: Device) -> None:
        self._batches, self._controls = Batches(device), ControlForwards(device)

    def predict(self, slots: Sequence[Slot], bucket: int, threads: int) -> list[Prediction]:
        """Run one forward of `bucket` rows, with the ControlNets and IP-Adapters beside it."""
        batch = self._batches.get(bucket, slots[0])
        batch.fill(slots)
        is_packed = slots[0].is_packed  # a replay has a forward to itself
        keeps = batch.deep is None and any(slot.cache > 1 for slot in slots)
        with computing(packed=is_packed):
            residuals, forwards = self._controls.run(slots, batch)
            conditioning = {**batch.conditioning, **residuals}
            with attending(slots, bucket), caching(batch.deep, keeps=keeps) as kept:
                output = find_denoiser(slots[0]).denoise(batch.latents, batch.timesteps, conditioning)
        for deep in kept:
            _keep(slots, deep)
        return [
            (rows, forward._replace(threads=threads, is_packed=is_packed))
            for rows, forward in zip(rows_of(slots, output), forwards, strict=True)
        ]

    def clear(self) -> None:
        """Give the memory back."""
        self._batches.clear()
        self._controls.clear()


class Lanes:
    """The turns that run. Every method but `begin` returns at once, or when a turn ends."""

    def __init__(self, device: Device, num_lanes: int = 0) -> None:
        """`num_lanes`: 1 or 2; 0 is two where a processor has the threads and holds whole models."""
        can_part = device.kind == "cpu" and device.memory == "full" and device.num_threads > 1
        self.num = min(num_lanes or 2, 2) if can_part else 1
        self._all = device.num_threads
        self._has_choice, self._choice = device.kind == "cpu", ThreadChoice()
        self._free = [Lane(device) for _ in range(self.num)]
        self._pool: ThreadPoolExecutor | None = None
        self._running: dict[Future[Any], tuple[WorkItem, Lane]] = {}

    @property
    def running(self) -> tuple[WorkItem, ...]:
        return tuple(turn for turn, _ in self._running.values())

    @property
    def num_free(self) -> int:
        return len(self._free)

    def begin(self, turns: Sequence[WorkItem]) -> None:
        """Run these turns: one alone now, with up to all threads; else each beside the others."""
        is_alone = not self._running and len(turns) == 1
        most = self._all if is_alone else self._all // self.num
        for turn in turns:
            lane = self._free.pop()
            threads, run = self._prepare(turn, lane, most)
            future = self._run_here(run, threads) if is_alone else self._submit(run, threads)
            self._running[future] = (turn, lane)

    def wait(self) -> list[tuple[WorkItem, Future[Any]]]:
        """Wait until a turn has ended; return all that have, with their outcomes. Nothing if none runs."""
        done = wait(self._running, return_when=FIRST_COMPLETED).done
        ended = []
        for future in [each for each in self._running if each in done]:  # in the order they began
            turn, lane = self._running.pop(future)
            self._free.append(lane)
            ended.append((turn, future))
        return ended

    def use_all_threads(self) -> None:
        """Give what the calling thread computes all threads of the process."""
        use_threads(self._all)

    def clear(self) -> None:
        """Free the buffers of those that do not run."""
        for lane in self._free:
            lane.clear()

    def close(self) -> None:
        """Wait for the turns that run, and forget them."""
        while self._running:
            self.wait()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _prepare(self, turn: WorkItem, lane: Lane, most: int) -> tuple[int, Callable[[], Any]]:
        """Return the threads of a turn and what it runs. A forward that no trace prescribes has `most` at most."""
        if not turn.slots:
            return _find_last_threads(turn.finishing) or self._all, _build_other(turn)
        slot = turn.slots[0]
        if slot.next_forward is not None:
            threads = slot.next_forward.threads
            return threads or self._all, partial(lane.predict, turn.slots, turn.bucket, threads)
        if not self._has_choice or slot.key.is_accelerated:  # what is compiled is for a number of threads
            return most, partial(lane.predict, turn.slots, turn.bucket, most % self._all)
        kind = (slot.key, turn.bucket)
        threads = self._choice.choose(kind, most)
        run = partial(lane.predict, turn.slots, turn.bucket, threads % self._all)  # all have no mark in the trace
        return threads, self._choice.timing(kind, most, threads, run)

    def _run_here(self, run: Callable[[], Any], threads: int) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(_compute(run, threads))
        except Exception as error:
            future.set_exception(error)
        finally:
            self.use_all_threads()
        return future

    def _submit(self, run: Callable[[], Any], threads: int) -> Future[Any]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.num, thread_name_prefix="lane")
        return self._pool.submit(_compute, run, threads)


def _keep(slots: Sequence[Slot], deep: Tensor) -> None:
    """Let each image with a step cache keep its rows of what is kept of a whole forward."""
    for slot, rows in list_rows(slots):
        if slot.cache > 1 and slot.walk is not None:
            slot.walk.kept = Kept(deep[rows].clone(), slot.wording)


def _find_last_threads(slot: Slot | None) -> int:
    """Return the threads of the last forward of a picture that ends; 0 is all."""
    return slot.forwards[-1].threads if slot is not None and slot.forwards else 0


def _build_other(turn: WorkItem) -> Callable[[], Any]:
    if turn.finishing is not None:
        return build_end(turn.finishing)
    assert turn.enlarging is not None
    return build_enlargement(turn.enlarging)


def build_end(slot: Slot) -> Callable[[], Any]:
    """Return what decodes an image."""

    def run() -> Any:
        assert slot.walk is not None
        with computing(packed=slot.is_packed):
            return decode(slot, slot.walk.latents)

    return run


def build_enlargement(upscaling: UpscaleItem) -> Callable[[], Any]:
    """Return what makes the next tile, where there is one."""
    return lambda: None if upscaling.work.is_done else upscaling.work.advance()


@torch.inference_mode()
def _compute(run: Callable[[], Any], threads: int) -> Any:
    use_threads(threads)
    try:
        return run()
    except Exception as error:
        if is_out_of_memory(error):  # the frames of its traceback hold what was computed
            error = error.with_traceback(None)
        raise error from None
