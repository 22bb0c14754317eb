"""The inputs of a forward: one preallocated buffer for each key and bucket.

A forward's bits depend on the shape, number format and memory layout of its inputs. `torch.cat` takes its layout
from its parts (latents of a start image leave the VAE in channels_last), so rows are copied into buffers whose
layout never changes. Rows that no image owns keep what was last in them; no row can see another.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from generation.engine.devices import Device
from generation.engine.families.base import Conditioning
from generation.engine.key import Key
from generation.engine.slot import Slot
from generation.requests.prompt_schedule import Wording

_MAX_BUFFERS = 24


class Batch:
    """The rows of one forward."""

    def __init__(self, bucket: int, like: Slot, device: Device) -> None:
        place, dtype = device.torch_device, device.dtype
        self.bucket = bucket
        self._is_pinned = device.cuda_graphs and device.kind == "cuda"
        self.latents = torch.zeros((bucket, *like.key.latent_shape), dtype=dtype, device=place)
        self.timesteps = torch.zeros(bucket, dtype=torch.float32, device=place)
        self.conditioning: Conditioning = {
            name: torch.zeros(
                (bucket, *rows.shape[1:]), dtype=dtype if rows.is_floating_point() else rows.dtype, device=place
            )
            for name, rows in like.conditioning.items()
        }
        kept = like.walk.kept if like.key.is_shallow and like.walk is not None else None
        self.deep = None if kept is None else kept.deep.new_zeros((bucket, *kept.deep.shape[1:]))
        """Of a shallow forward (`step_cache`): what each image kept, copied in each time."""
        self._owners: list[tuple[int, int, Wording] | None] = [None] * bucket
        """Whose conditioning a row holds, which part of it, and of which wording of its prompts: an image that moves by
        one row leaves one behind, and an image may have other words in another step."""

    def fill(self, slots: Sequence[Slot]) -> None:
        """Copy in the images' inputs, in order from row 0, unless they are unchanged since last time."""
        times = [0.0] * self.bucket
        for slot, rows in list_rows(slots):
            self.latents[rows] = slot.model_input()
            times[rows] = [slot.timestep()] * slot.rows
            self._fill_conditioning(slot, rows)
            if self.deep is not None and slot.walk is not None and slot.walk.kept is not None:
                self.deep[rows] = slot.walk.kept.deep
        # From pinned memory a card copies by itself. From other memory torch waits for all that was started before.
        self.timesteps.copy_(torch.tensor(times, dtype=torch.float32, pin_memory=self._is_pinned), non_blocking=True)

    def _fill_conditioning(self, slot: Slot, rows: slice) -> None:
        owners = [(slot.serial, part, slot.wording) for part in range(slot.rows)]
        if self._owners[rows] == owners:
            return
        conditioning = slot.conditioning
        for name, buffer in self.conditioning.items():
            buffer[rows] = conditioning[name]
        self._owners[rows] = owners


class Batches:
    """The latest buffers by key and bucket."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._kept: OrderedDict[tuple[Key, int], Batch] = OrderedDict()

    def get(self, bucket: int, like: Slot) -> Batch:
        """Return the buffer of `bucket` rows for images such as `like`."""
        name = (like.key, bucket)
        if name not in self._kept:
            self._kept[name] = Batch(bucket, like, self._device)
        self._kept.move_to_end(name)
        if len(self._kept) > _MAX_BUFFERS:
            self._kept.popitem(last=False)
        return self._kept[name]

    def clear(self) -> None:
        """Give the memory back."""
        self._kept.clear()


def list_rows(slots: Sequence[Slot]) -> Iterator[tuple[Slot, slice]]:
    """Yield each image and its rows of a forward."""
    row = 0
    for slot in slots:
        yield slot, slice(row, row + slot.rows)
        row += slot.rows


def rows_of(slots: Sequence[Slot], output: Tensor) -> list[Tensor]:
    """Return each image's part of a forward's output, in the order they were filled in."""
    return [output[rows] for _, rows in list_rows(slots)]
