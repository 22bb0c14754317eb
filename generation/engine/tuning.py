"""Measures which buckets pay, one forward at a time, while there is no picture to paint.

The default model is measured at its own size once the engine is up. Another model, or another size, is measured once
pictures of it were requested. Both only while the queue is empty: a new picture waits for one forward at most, of about
`_LONGEST_S`, and the trial begins again after it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator

import torch

from generation.engine.autotune import find_best_bucket, time_buckets
from generation.engine.batch import Batch
from generation.engine.buckets import Buckets, MeasurementTarget
from generation.engine.devices import Device
from generation.engine.error_classes import is_engine_broken, is_out_of_memory
from generation.engine.families.base import Family
from generation.engine.memory import give_back
from generation.engine.slot import Slot, find_denoiser
from generation.jobs.protocol import GenerateCommand, Share
from generation.requests.spec import ImageSpec

log = logging.getLogger(__name__)

_LONGEST_S = 1.0
_Trial = Generator[None, None, dict[int, float]]


class Tuner:
    """Measures what `Buckets` wants to know. `family_of`: the family of a model that is loaded, None of another."""

    def __init__(self, buckets: Buckets, device: Device, family_of: Callable[[str], Family | None]) -> None:
        self._buckets, self._device, self._family_of = buckets, device, family_of
        self._wanted: MeasurementTarget | None = None
        self._trial: _Trial | None = None

    def run_once(self) -> bool:
        """Run one forward of a trial. False if nothing is to be measured."""
        if self._trial is None and not self._begin():
            return False
        self._advance()
        return True

    def drop(self) -> None:
        """End the present trial and free what it holds; it begins again at idle time."""
        self._wanted = self._trial = None

    def _begin(self) -> bool:
        self._wanted = self._buckets.next_wanted
        if self._wanted is None:
            return False
        self._trial = self._try_buckets(self._wanted)
        return True

    def _advance(self) -> None:
        assert self._wanted is not None and self._trial is not None
        shape = self._wanted.shape
        try:
            next(self._trial)
            return
        except StopIteration as end:
            self._buckets.keep(shape, find_best_bucket(end.value), end.value)
            log.info("model=%s action=bucket-measured seconds=%s", self._wanted.model, end.value)
        except Exception as error:  # pictures can be had without it
            if is_engine_broken(error) and not is_out_of_memory(error):
                raise
            self._buckets.give_up(shape)
            log.warning("model=%s action=measuring-failed error=%s", self._wanted.model, type(error).__name__)
        self.drop()
        give_back(self._device.torch_device)

    def _try_buckets(self, wanted: MeasurementTarget) -> _Trial:
        family = self._family_of(wanted.model)
        if family is None:
            raise LookupError("the model was let go")
        slot = _make_slot(wanted, family)
        slot.begin(self._device.torch_device)
        forwards = {bucket: self._forward(slot, bucket) for bucket in family.ladder}
        return (yield from time_buckets(forwards, longest_s=_LONGEST_S))

    def _forward(self, slot: Slot, bucket: int) -> Callable[[], None]:
        def run() -> None:
            batch = Batch(bucket, slot, self._device)
            find_denoiser(slot).denoise(batch.latents, batch.timesteps, batch.conditioning)
            if self._device.kind == "cuda":
                torch.cuda.synchronize()

        return run


def _make_slot(wanted: MeasurementTarget, family: Family) -> Slot:
    """Return a slot of that size that belongs to no request."""
    width_px, height_px = wanted.size_px
    spec = ImageSpec(
        prompt="a",
        model=wanted.model,
        width_px=width_px,
        height_px=height_px,
        steps=4,
        guidance=1.0,
        sampler="Euler",
        seed=0,
    )
    return Slot(
        GenerateCommand(image_id="measure-0", attempt=1, spec=spec, share=Share(0)),
        family,
        0,
    )
