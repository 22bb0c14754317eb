"""How many rows a forward should have: what pays on this machine, less what turned out not to fit into memory.

A larger forward gets more done in the same time only up to a point. Where that lies is measured at the first start
with the default model (`measured`), or, without a file to keep it in, known roughly by the kind of device. The buckets
themselves are the family's ladder, whatever is measured: a trace means the same everywhere.
"""

from __future__ import annotations

import torch

from generation.catalog import Model
from generation.engine.batch import Batch
from generation.engine.devices import Device
from generation.engine.families.base import Family
from generation.engine.measured import Measured, pays_first, time_buckets
from generation.engine.settings import EngineSettings
from generation.engine.slot import Key, Slot
from generation.order import Order, Share
from generation.recipe import Fingerprint
from generation.request import ImageSpec

_ROW_PIXELS = {"cpu": 16 * 128 * 128, "mps": 4 * 512 * 512, "cuda": 16 * 512 * 512}
"""Rows times pixels beyond which a larger forward gets no more done, roughly, by kind of device."""


class Buckets:
    """Sizes of forwards. `row_pixels` is rows times pixels beyond which a larger one gets no more done."""

    def __init__(self, settings: EngineSettings, row_pixels: int) -> None:
        self._max_rows = settings.max_rows
        self._row_pixels = row_pixels
        self._limits: dict[Key, int] = {}

    def most_rows(self, pixels: int) -> int:
        """Rows beyond which a forward of pictures that size gets no more done in the same time, on this machine."""
        return self._max_rows or max(2, self._row_pixels // pixels)

    def most_for(self, slot: Slot) -> int:
        """The largest bucket for images such as `slot`: what pays, and what memory allows."""
        pays = self.most_rows(slot.size_px[0] * slot.size_px[1])
        limit = min(pays, self._limits.get(slot.key, pays))
        return max((rung for rung in slot.family.ladder if rung <= limit), default=1)

    def fitting(self, slots: tuple[Slot, ...]) -> int:
        """The bucket of a forward of these: what a replay prescribes, else the smallest that holds them."""
        rows = sum(slot.rows for slot in slots)
        return slots[0].next_bucket or next(rung for rung in slots[0].family.ladder if rung >= rows)

    def halve(self, key: Key, bucket: int) -> None:
        """A forward of `bucket` rows did not fit into memory: images of that key get half of it from now on."""
        self._limits[key] = bucket // 2

    def slots_that_pay(self, ladder: tuple[int, ...], native_px: int) -> int:
        """The guided pictures of native size that one forward holds, and a few to take their places."""
        held = max(1, min(ladder[-1], self.most_rows(native_px**2)) // 2)
        return held + max(1, held // 4)


def find_row_pixels(
    measured: Measured, family: Family, model: Model, device: Device, *, model_sha256: str, fingerprint: Fingerprint
) -> int:
    """What `Buckets` needs to know: measured with this model, once for each fingerprint, or by the kind of device."""
    name = f"bucket that pays: {model_sha256[:16]} {fingerprint.digest}"
    bucket = measured.get(name, lambda: pays_first(_time_forwards(family, model, device)))
    return int(bucket) * model.defaults.native_px**2 if bucket else _ROW_PIXELS[device.kind]


def _time_forwards(family: Family, model: Model, device: Device) -> dict[int, float]:
    """Seconds of a forward of the model's usual picture by bucket."""
    side_px = model.defaults.native_px
    spec = ImageSpec(
        prompt="a",
        model=model.name,
        width_px=side_px,
        height_px=side_px,
        steps=model.defaults.steps,
        guidance=1.0,
        sampler=model.defaults.sampler,
        seed=0,
    )
    slot = Slot(Order(image_id="measure-0", attempt=1, spec=spec, share=Share(0)), family, 0)
    slot.begin(device.torch_device)

    def run(batch: Batch) -> None:
        family.denoise(batch.latents, batch.timesteps, batch.conditioning)
        if device.kind == "cuda":
            torch.cuda.synchronize()

    batches = {bucket: Batch(bucket, slot, device) for bucket in family.ladder}
    return time_buckets({bucket: lambda batch=batch: run(batch) for bucket, batch in batches.items()})  # type: ignore[misc]
