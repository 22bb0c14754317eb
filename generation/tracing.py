"""The stages of a job on its way, for who records them: nothing unless a recorder is installed (`cli/tracing.py`).

accepted -> queued -> painted -> checked -> stored -> posted; all but the first and the last are of one picture. Facts
are numbers and words of the program, never a person's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

Fact = str | int


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a job: its times by `time.monotonic`."""

    job_id: str
    name: str
    began_s: float
    ended_s: float
    facts: dict[str, Fact]


class Recorder(Protocol):
    """Where stages go."""

    def add(self, stage: Stage) -> None: ...

    def expect_post(self, job_id: str) -> None:
        """Note that a job's story goes on after its end, until it is posted."""

    def end(self, job_id: str, *, is_posted: bool) -> None:
        """Note that a job has ended, or that its result is posted."""


_recorder: Recorder | None = None


def install(recorder: Recorder | None) -> None:
    """Record from now on; None stops it."""
    global _recorder
    _recorder = recorder


def record(job_id: str, name: str, began_s: float | None, ended_s: float | None = None, **facts: Fact) -> None:
    """Record a stage that ended just now, or at `ended_s`. One that never began is none."""
    if _recorder is not None and began_s is not None:
        _recorder.add(Stage(job_id, name, began_s, time.monotonic() if ended_s is None else ended_s, facts))


def expect_post(job_id: str) -> None:
    if _recorder is not None:
        _recorder.expect_post(job_id)


def end(job_id: str, *, is_posted: bool = False) -> None:
    if _recorder is not None:
        _recorder.end(job_id, is_posted=is_posted)
