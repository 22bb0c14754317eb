"""Runs the turns of an engine: one at a time on all threads, or two at once on half of a processor's threads each.

Every operation of a forward ends with the slowest of its threads, and small ones hardly use a second core. So where
there is work for two turns they run side by side, and get 1.3 to 1.5 times as much done (docs/performance.md). A turn
alone has all threads: it ends sooner. Bits may depend on the number of threads, so the trace of an image says which of
its forwards had a part of them (`Forward.threads`), and its end is decoded with as many as its last forward had.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generation.engine.batch import Batches, list_rows, rows_of
from generation.engine.control.forward import ControlForwards
from generation.engine.devices import Device
from generation.engine.error_classes import is_out_of_memory
from generation.engine.ip_adapter.attention import attending
from generation.engine.postprocess import decode
from generation.engine.slot import Slot, find_denoiser
from generation.engine.step_cache import Kept, caching
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
        residuals, forwards = self._controls.run(slots, batch)
        conditioning = {**batch.conditioning, **residuals}
        keeps = batch.deep is None and any(slot.cache > 1 for slot in slots)
        with attending(slots, bucket), caching(batch.deep, keeps=keeps) as kept:
            output = find_denoiser(slots[0]).denoise(batch.latents, batch.timesteps, conditioning)
        for deep in kept:
            _keep(slots, deep)
        return [
            (rows, forward._replace(threads=threads))
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
        """Run these turns: one alone now, with all threads; else each beside the others."""
        is_alone = not self._running and len(turns) == 1
        for turn in turns:
            lane, threads = self._free.pop(), _find_threads(turn, 0 if is_alone else self._all // self.num)
            run = _build_run(turn, lane, threads)
            future = self._run_here(run, threads or self._all) if is_alone else self._submit(run, threads or self._all)
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
        _use_threads(self._all)

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


def _find_threads(turn: WorkItem, usual: int) -> int:
    """Return the threads that a turn must have, or has here where it may have any; 0 is all."""
    if turn.slots:
        prescribed = turn.slots[0].next_forward
        return usual if prescribed is None else prescribed.threads
    return turn.finishing.forwards[-1].threads if turn.finishing is not None and turn.finishing.forwards else 0


def _build_run(turn: WorkItem, lane: Lane, threads: int) -> Callable[[], Any]:
    if turn.slots:
        return lambda: lane.predict(turn.slots, turn.bucket, threads)
    if turn.finishing is not None:
        return build_end(turn.finishing)
    assert turn.enlarging is not None
    return build_enlargement(turn.enlarging)


def build_end(slot: Slot) -> Callable[[], Any]:
    """Return what decodes an image."""

    def run() -> Any:
        assert slot.walk is not None
        return decode(slot, slot.walk.latents)

    return run


def build_enlargement(upscaling: UpscaleItem) -> Callable[[], Any]:
    """Return what makes the next tile, where there is one."""
    return lambda: None if upscaling.work.is_done else upscaling.work.advance()


@torch.inference_mode()
def _compute(run: Callable[[], Any], threads: int) -> Any:
    _use_threads(threads)
    try:
        return run()
    except Exception as error:
        if is_out_of_memory(error):  # the frames of its traceback hold what was computed
            error = error.with_traceback(None)
        raise error from None


def _use_threads(threads: int) -> None:
    """Give the calling thread's operations so many threads, whatever others have."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    if (set_local := _find_mkl_setter()) is not None:  # torch sets MKL's for the whole process
        set_local(threads)


@cache
def _find_mkl_setter() -> Callable[[int], int] | None:
    """Return what sets the threads of MKL for one thread, where torch was built with it."""
    for name in ("libtorch_cpu.so", "torch_cpu.dll"):
        path = Path(torch.__file__).parent / "lib" / name
        if path.exists():
            return getattr(ctypes.CDLL(str(path)), "MKL_Set_Num_Threads_Local", None)
    return None
