"""Chooses the number of rows of a forward: what pays on this machine, less what did not fit into memory.

A larger forward gets more done in the same time only up to a point. Where that lies depends on the network and on the
size of the picture, so it is measured for each of both (`tuning`). Until it is, and without a file to keep it in, it is
taken from another size of the same network, or known roughly by the kind of device. The buckets themselves are the
family's ladder, whatever is measured: a trace means the same everywhere.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from generation.engine.autotune import MeasurementCache
from generation.engine.key import Key
from generation.engine.slot import Slot
from generation.requests.cost import Work
from generation.requests.recipe import LADDER, Fingerprint
from generation.workers.engine_settings import EngineSettings

_ROW_PIXELS = {"cpu": 16 * 128 * 128, "mps": 4 * 512 * 512, "cuda": 16 * 512 * 512}
"""Rows times pixels beyond which a larger forward gets no more done, roughly, by kind of device."""
_LONGEST_WORK = {"cpu": 1.0, "mps": 8.0, "cuda": math.inf}
"""Evaluations by Stable Diffusion 1.5 at 512 pixels that a row may take to be measured when idle. A new picture waits
for one: about 7 seconds on two cores. What takes longer pays in small forwards anyway."""
_LEAST_ROWS = 2
"""Those of one guided picture."""
_MUCH_MORE = 1.1
"""How many times more a full smaller bucket must get done than a larger one in part, to be taken instead."""


class Shape(NamedTuple):
    """What is measured once: a network at about one size. Five aspect ratios of the same area are one."""

    network: str
    area: int
    """Half octaves of pixels."""

    @classmethod
    def of(cls, network: str, size_px: tuple[int, int]) -> Shape:
        return cls(network, round(2 * math.log2(size_px[0] * size_px[1])))

    @property
    def pixels(self) -> float:
        return float(2 ** (self.area / 2))


class MeasurementTarget(NamedTuple):
    """Something to measure: the shape, and a model and size that have it."""

    shape: Shape
    model: str
    size_px: tuple[int, int]


class Buckets:
    """Sizes of forwards by network and size of the picture."""

    def __init__(
        self, settings: EngineSettings, measured: MeasurementCache, fingerprint: Fingerprint, *, device: str
    ) -> None:
        self._max_rows = settings.max_rows
        self._measured = measured
        self._fingerprint = fingerprint.digest
        self._row_pixels = _ROW_PIXELS[device]
        self._longest_work = _LONGEST_WORK[device]
        self._pays: dict[Shape, int | None] = {}
        self._seconds: dict[Shape, dict[int, float]] = {}
        self._wanted: dict[Shape, MeasurementTarget] = {}
        self._limits: dict[Key, int] = {}

    def most_rows(self, network: str, size_px: tuple[int, int]) -> int:
        """Return the rows beyond which a larger forward of that size takes as much more time as it does more work."""
        if self._max_rows:
            return self._max_rows
        shape = Shape.of(network, size_px)
        kept = self._find(shape)
        if kept is not None:
            return max(_LEAST_ROWS, kept)
        return max(_LEAST_ROWS, int(self._find_row_pixels(shape) // (size_px[0] * size_px[1])))

    def find_most_rows(self, stepping: Iterable[Slot], leader: Slot) -> int:
        """Return the rows that a forward may have which `leader` shares with others of these."""
        sharing = (each.rows for each in stepping if each.key == leader.key and each.next_bucket is None)
        return self.find_largest_bucket(leader, sum(sharing))

    def find_largest_bucket(self, slot: Slot, rows: int) -> int:
        """Return the largest bucket for images such as `slot`, limited by what pays and by memory.

        `rows`: those of all that could share the forward. Where they would leave much of a bucket empty, and a full
        smaller one gets more done in the same time, it is that one; who is left out leads the next forward. It holds
        `slot`, so others have what the rows of one with regions leave empty.
        """
        if slot.attended_px == slot.size_px:  # what is measured sees no other picture
            self.want(slot.network, slot.order.spec.model, slot.size_px, slot.work)
        pays = self.most_rows(slot.network, slot.attended_px)
        limit = min(pays, self._limits.get(slot.key, pays))
        largest = max((rung for rung in slot.family.ladder if rung <= limit), default=1)
        needed = next(rung for rung in slot.family.ladder if rung >= slot.rows)
        if slot.rows < rows < largest and (full := self._find_full(Shape.of(slot.network, slot.attended_px), rows)):
            return max(full, needed)
        return max(largest, needed)

    def fitting(self, slots: tuple[Slot, ...]) -> int:
        """Return the bucket of a forward of these: the one a replay prescribes, else the smallest that holds them."""
        rows = sum(slot.rows for slot in slots)
        return slots[0].next_bucket or next(rung for rung in slots[0].family.ladder if rung >= rows)

    def halve(self, key: Key, bucket: int) -> None:
        """Halve the limit of that key from now on, because a forward of `bucket` rows did not fit into memory."""
        self._limits[key] = bucket // 2

    def count_useful_slots(self, network: str, ladder: tuple[int, ...], native_px: int, num_lanes: int = 1) -> int:
        """Return how many guided pictures of native size that many forwards hold, plus a few to take their places."""
        held = num_lanes * max(1, min(ladder[-1], self.most_rows(network, (native_px, native_px))) // 2)
        return held + max(1, held // 4)

    # What is still to be measured.

    def want(self, network: str, model: str, size_px: tuple[int, int], work: Work) -> None:
        """Ask for a measurement at idle time, if it is worth it and not known."""
        shape, taken = Shape.of(network, size_px), work.of(*size_px)
        is_known = self._max_rows or not self._measured.is_kept or self._find(shape) is not None
        if not is_known and taken <= self._longest_work:
            self._wanted.setdefault(shape, MeasurementTarget(shape, model, size_px))

    @property
    def next_wanted(self) -> MeasurementTarget | None:
        return next(iter(self._wanted.values()), None)

    def keep(self, shape: Shape, bucket: int, seconds: Mapping[int, float] | None = None) -> None:
        """Keep `bucket` as the measured size for that shape: the smallest that gets the most done.

        `seconds`: what a forward of each size took.
        """
        self._wanted.pop(shape, None)
        self._pays[shape] = bucket
        self._measured.keep(self._name(shape), bucket)
        self._seconds[shape] = dict(seconds or {})
        for rows, taken in self._seconds[shape].items():
            self._measured.keep(self._name(shape, rows), taken)

    def give_up(self, shape: Shape) -> None:
        """Mark the shape as not measurable now; the next picture of that shape tries again."""
        self._wanted.pop(shape, None)

    def _find(self, shape: Shape) -> int | None:
        if shape not in self._pays:
            kept = self._measured.find(self._name(shape))
            self._pays[shape] = None if kept is None else int(kept)
        return self._pays[shape]

    def _find_full(self, shape: Shape, rows: int) -> int | None:
        """Return a bucket that so many rows fill, if that gets much more done than the next one, filled in part."""
        smaller, next_larger = (
            max(rung for rung in LADDER if rung <= rows),
            min(rung for rung in LADDER if rung >= rows),
        )
        seconds = self._find_seconds(shape)
        if not {smaller, next_larger} <= seconds.keys():
            return None
        is_better = smaller / seconds[smaller] > _MUCH_MORE * rows / seconds[next_larger]
        return smaller if is_better else None

    def _find_seconds(self, shape: Shape) -> Mapping[int, float]:
        if shape not in self._seconds:
            found = {rung: self._measured.find(self._name(shape, rung)) for rung in LADDER}
            self._seconds[shape] = {rung: taken for rung, taken in found.items() if taken}
        return self._seconds[shape]

    def _name(self, shape: Shape, rows: int = 0) -> str:
        side_px = round(math.sqrt(shape.pixels))
        what = f"seconds of {rows} rows" if rows else "bucket that pays"
        return f"{what}: network {shape.network} at about {side_px} px, {self._fingerprint}"

    def _find_row_pixels(self, shape: Shape) -> float:
        """Return as many as pay at the nearest size measured with this network; else what the device usually can."""
        known = [
            (abs(other.area - shape.area), other, bucket)
            for other, bucket in self._pays.items()
            if bucket is not None and other.network == shape.network
        ]
        if not known:
            return self._row_pixels
        _, nearest, bucket = min(known)
        return bucket * nearest.pixels


def name_network(denoiser: Any) -> str:
    """Return a short name for the network's architecture. Models of one architecture are measured once."""
    settings = {name: value for name, value in dict(denoiser.config).items() if not name.startswith("_")}
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]
