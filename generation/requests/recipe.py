"""The recipe: all that is needed to make a picture again, byte for byte.

Batched arithmetic on one machine depends on the *shape* of the batch and on nothing else about the neighbours.
So an image remembers the bucket of each of its model evaluations (its trace), and the hardware and libraries
under which those bytes are promised (its fingerprint).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from generation.requests.control import UNION, Control, find_running
from generation.requests.errors import RecipeUnusableError
from generation.requests.replay import Replay
from generation.requests.spec import ImageSpec
from generation.translatable import Phrase

RECIPE_VERSION = 1
LADDER: Final = (1, 2, 4, 8, 16)
"""The buckets there are, for every family and machine: a trace means the same everywhere. No rung is taken away."""
_STORAGE: Final = "weights"
CLOUD: Final = "cloud"
"""The fact of a fingerprint that names the host which painted the picture, where no machine of ours did."""
_RUN: Final = r"[1-9]\d{0,3}p?(t[1-9]\d{0,3})?(c[1-9]\d{0,3}){0,9}x[1-9]\d{0,3}"


class Forward(NamedTuple):
    """The rows of one model evaluation's forward, and those of each ControlNet at work in it, in the spec's order.

    `threads`: those it had of a processor; 0 is all that the fingerprint names. `is_packed`: its convolutions
    had packed weights (`generation.engine.packed_convolutions`).
    """

    rows: int
    control: tuple[int, ...] = ()
    threads: int = 0
    is_packed: bool = False

    def __str__(self) -> str:
        first = f"{self.rows}{'p' * self.is_packed}" + (f"t{self.threads}" if self.threads else "")
        return "c".join(map(str, (first, *self.control)))


@dataclass(frozen=True, slots=True)
class Trace:
    """The forward of each model evaluation an image took, run-length coded.

    `8x12,4x18` is a bucket of 8 rows, then one of 4; `8c2x12` has a ControlNet in a bucket of its own, of 2 rows;
    `8t1x12` ran on one thread, `8px12` with packed weights.
    """

    runs: tuple[tuple[Forward, int], ...] = ()

    @classmethod
    def of(cls, forwards: Iterable[Forward | int]) -> Trace:
        """Return the trace of these; a number is a forward of so many rows without ControlNets."""
        whole = (Forward(each) if isinstance(each, int) else each for each in forwards)
        return cls(tuple((forward, len(list(same))) for forward, same in groupby(whole)))

    @classmethod
    def parse(cls, text: str) -> Trace:
        """Read `8x12,4x18` (12 evaluations in a bucket of 8 rows, then 18 of 4). Raise `ValueError` otherwise."""
        if not text:
            return cls()
        if not re.fullmatch(rf"{_RUN}(,{_RUN})*", text):
            raise ValueError(f"not a trace: {text[:40]!r}")
        pairs = (run.split("x") for run in text.split(","))
        return cls(tuple((_read_forward(forward), int(times)) for forward, times in pairs))

    def __str__(self) -> str:
        return ",".join(f"{forward}x{times}" for forward, times in self.runs)

    def forwards(self) -> Iterator[Forward]:
        """Yield the forward of every evaluation, in order."""
        for forward, times in self.runs:
            yield from [forward] * times

    def buckets(self) -> Iterator[int]:
        """Yield the bucket of every evaluation, in order."""
        return (forward.rows for forward in self.forwards())

    @property
    def num_evaluations(self) -> int:
        return sum(times for _, times in self.runs)

    def is_minimal(self, num_rows: int) -> bool:
        """Return whether no forward had more rows than the smallest bucket that an image of `num_rows` fits into."""
        needed = next(rung for rung in LADDER if rung >= num_rows)
        return all({forward.rows, *forward.control} == {needed} for forward, _ in self.runs)


def _read_forward(text: str) -> Forward:
    first, *control = text.split("c")
    rows, _, threads = first.partition("t")
    return Forward(int(rows.rstrip("p")), tuple(map(int, control)), int(threads or 0), rows.endswith("p"))


def require_trace(spec: ImageSpec, text: str) -> Trace:
    """Return the trace if a picture of that spec can have it. Raise `RecipeUnusableError` otherwise."""
    try:
        trace = Trace.parse(text)
    except ValueError:
        raise RecipeUnusableError from None
    buckets = {rows for forward, _ in trace.runs for rows in (forward.rows, *forward.control)}
    is_possible = all(bucket in LADDER and bucket >= spec.num_rows for bucket in buckets)
    if not is_possible or trace.num_evaluations != spec.num_evaluations:
        raise RecipeUnusableError
    steps = zip(trace.forwards(), list_running(spec), strict=True)
    if not all(_has_buckets(forward, running, spec.num_rows) for forward, running in steps):
        raise RecipeUnusableError
    return trace


def _has_buckets(forward: Forward, running: Sequence[Control], num_rows: int) -> bool:
    """Return whether it has a bucket for each ControlNet that runs; a Union's has the picture's own rows, no others."""
    if len(forward.control) != len(running):
        return False
    pairs = zip(forward.control, running, strict=True)
    return all(rows == num_rows for rows, control in pairs if control.kind == UNION)


def list_running(spec: ImageSpec) -> Iterator[tuple[Control, ...]]:
    """Yield the ControlNets that run beside each evaluation of a picture."""
    for each in spec.passes:
        for index in range(each.evaluations):
            places = find_running(spec.controls, index, each.evaluations)
            yield tuple(spec.controls[place] for place in places)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the bytes depend on beside the recipe: library versions, device, dtype, threads, kernels in use."""

    facts: dict[str, str]

    def with_storage(self, storage: str) -> Fingerprint:
        """Return it with how the weights of a model were kept in memory; empty: whole, which is not named."""
        return Fingerprint({**self.facts, _STORAGE: storage}) if storage else self

    def without_storage(self) -> Fingerprint:
        """Return that of the engine, whatever model it has in memory."""
        return Fingerprint({name: fact for name, fact in self.facts.items() if name != _STORAGE})

    @property
    def cloud(self) -> str:
        """The host that painted the picture, if a cloud did; else empty. Its bytes are promised by no one."""
        return self.facts.get(CLOUD, "")

    @property
    def digest(self) -> str:
        """A short name for this fingerprint: the first 16 hex digits of the SHA-256 of its sorted facts."""
        return hashlib.sha256(msgspec.json.encode(sorted(self.facts.items()))).hexdigest()[:16]

    def differences(self, other: Fingerprint) -> tuple[Phrase, ...]:
        """Return what differs, in words: `torch 2.13.0 here, 2.12.1 then`."""
        names = sorted(self.facts.keys() | other.facts.keys())
        changed = (name for name in names if self.facts.get(name) != other.facts.get(name))
        absent = Phrase("absent")
        return tuple(
            Phrase(
                "{name} {here} here, {there} then",
                name=name,
                here=self.facts.get(name, absent),
                there=other.facts.get(name, absent),
            )
            for name in changed
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One finished picture: what was asked, how it was computed, and the SHA-256 of its RGB pixels."""

    spec: ImageSpec
    model_sha256: str
    trace: str
    fingerprint: Fingerprint
    pixels_sha256: str
    parents: tuple[str, ...] = ()
    """Pixel hashes of the pictures this one was made from, nearest first."""
    dropped: str = ""
    """The end of the prompt, where it was too long for the model to read."""
    version: int = RECIPE_VERSION
    lookup_hashes: dict[str, str] | UnsetType = UNSET
    """By `model` and `lora:NAME`: the hashes other programs look up. Recipes of earlier versions have none, not even
    in JSON, so that their files stay the same to the byte."""

    def build_replay(self, *, original: str | None = None, is_unseen: bool = False) -> Replay:
        """Return what asks for this picture again, byte for byte; see `Replay`."""
        return Replay(
            trace=self.trace,
            pixels_sha256=self.pixels_sha256,
            original=original,
            is_unseen=is_unseen,
            fingerprint=self.fingerprint.without_storage().digest,
        )

    def to_json(self) -> str:
        return msgspec.json.encode(self, order="sorted").decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Recipe:
        """Read what `to_json` wrote. Raise `ValueError` (a `msgspec.ValidationError`, or a bad value) otherwise."""
        return msgspec.json.decode(text, type=cls)
