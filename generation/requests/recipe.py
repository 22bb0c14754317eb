"""The recipe: all that is needed to make a picture again, byte for byte.

Batched arithmetic on one machine depends on the *shape* of the batch and on nothing else about the neighbours.
So an image remembers the bucket of each of its model evaluations (its trace), and the hardware and libraries
under which those bytes are promised (its fingerprint).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from generation.requests.errors import RecipeUnusableError
from generation.requests.spec import ImageSpec
from generation.translatable import Phrase

RECIPE_VERSION = 1
LADDER: Final = (1, 2, 4, 8, 16)
"""The buckets there are, for every family and machine: a trace means the same everywhere. No rung is taken away."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The bucket (rows of the forward) of each model evaluation an image took, run-length coded: `8x12,4x18`."""

    runs: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, buckets: Iterable[int]) -> Trace:
        return cls(tuple((bucket, len(list(same))) for bucket, same in groupby(buckets)))

    @classmethod
    def parse(cls, text: str) -> Trace:
        """Read `8x12,4x18` (12 evaluations in a bucket of 8 rows, then 18 of 4). Raise `ValueError` otherwise."""
        if not text:
            return cls()
        if not re.fullmatch(r"[1-9]\d{0,3}x[1-9]\d{0,3}(,[1-9]\d{0,3}x[1-9]\d{0,3})*", text):
            raise ValueError(f"not a trace: {text[:40]!r}")
        pairs = (run.split("x") for run in text.split(","))
        return cls(tuple((int(bucket), int(times)) for bucket, times in pairs))

    def __str__(self) -> str:
        return ",".join(f"{bucket}x{times}" for bucket, times in self.runs)

    def buckets(self) -> Iterator[int]:
        """Yield the bucket of every evaluation, in order."""
        for bucket, times in self.runs:
            yield from [bucket] * times

    @property
    def num_evaluations(self) -> int:
        return sum(times for _, times in self.runs)

    def is_minimal(self, num_rows: int) -> bool:
        """Return whether no forward had more rows than an image of `num_rows` needs."""
        return all(bucket == num_rows for bucket, _ in self.runs)


def require_trace(spec: ImageSpec, text: str) -> Trace:
    """Return the trace if a picture of that spec can have it. Raise `RecipeUnusableError` otherwise."""
    try:
        trace = Trace.parse(text)
    except ValueError:
        raise RecipeUnusableError from None
    is_possible = all(bucket in LADDER and bucket >= spec.num_rows for bucket, _ in trace.runs)
    if not is_possible or trace.num_evaluations != spec.num_evaluations:
        raise RecipeUnusableError
    return trace


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the bytes depend on beside the recipe: library versions, device, dtype, threads, kernels in use."""

    facts: dict[str, str]

    def with_storage(self, storage: str) -> Fingerprint:
        """Return it with how the weights of a model were kept in memory; empty: whole, which is not named."""
        return Fingerprint({**self.facts, "weights": storage}) if storage else self

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

    def to_json(self) -> str:
        return msgspec.json.encode(self, order="sorted").decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Recipe:
        """Read what `to_json` wrote. Raise `ValueError` (a `msgspec.ValidationError`, or a bad value) otherwise."""
        return msgspec.json.decode(text, type=cls)
