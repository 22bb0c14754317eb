"""What the engine does in one turn, and what it reports of it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from torch import Tensor

from generation.engine.fused_steps import step_together
from generation.engine.models import LoadedModel
from generation.engine.slot import Slot
from generation.engine.upscalers.tiles import UpscaleTask
from generation.jobs.protocol import GenerateCommand, Progress
from generation.safety.verdict import UNCHECKED, SafetyVerdict


@dataclass(slots=True)
class UpscaleItem:
    """An upscale in progress."""

    order: GenerateCommand
    model: LoadedModel
    work: UpscaleTask
    start: SafetyVerdict = UNCHECKED


@dataclass(frozen=True, slots=True)
class WorkItem:
    """What one `step` does: a forward of `slots` in `bucket` rows, or the end of `finishing`, or a tile."""

    slots: tuple[Slot, ...] = ()
    bucket: int = 0
    finishing: Slot | None = None
    enlarging: UpscaleItem | None = None

    @property
    def held(self) -> tuple[Slot | UpscaleItem, ...]:
        """The images whose turn it is."""
        return (*self.slots, *(each for each in (self.finishing, self.enlarging) if each is not None))

    @property
    def rows(self) -> int:
        """Rows of the forward that hold an image."""
        return sum(slot.rows for slot in self.slots)

    def take_steps(self, predictions: Iterable[Tensor]) -> None:
        """Take the steps of the samplers that can take them together, from each image's rows of the forward.

        `Slot.advance` finds them taken. It takes those that failed again, where an error ends its image alone.
        """
        pairs = zip(self.slots, predictions, strict=True)
        able = [(slot, slot.walk, rows) for slot, rows in pairs if slot.walk and slot.walk.sampling.table]
        walks, indexes = [walk for _, walk, _ in able], [slot.index for slot, _, _ in able]
        with suppress(Exception):
            guided = [slot.guide(rows) for slot, _, rows in able]
            stepped = step_together(
                [each.sampling for each in walks], guided, indexes, [each.latents for each in walks]
            )
            for walk, step in zip(walks, stepped, strict=True):
                walk.stepped = step

    def build_progress(self, slot: Slot) -> Progress:
        """Return what is reported of an image after its part of the forward."""
        return Progress(
            image_id=slot.order.image_id,
            attempt=slot.order.attempt,
            done=slot.done,
            total=slot.total,
            rows=slot.rows,
            capacity_rows=self.bucket * slot.rows / self.rows,
        )
