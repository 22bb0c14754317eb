"""What members of a bot's pool hold and paint, told from inside the bot while it happens.

`install` is called in the process that bots are forked from: from then on each of them writes a line for every image
that a member is given, gets on with, ends or loses. `Trace` reads the lines of all lives. Times are the machine's.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "CHAOS_TRACE"
"""The variable that names the file, in the environment of a bot."""
HERE = "cpu"
"""The bot's own worker, by the name of its device."""


def install() -> None:
    """Have every bot that is forked from this process tell."""
    from generation.jobs.protocol import Progress
    from generation.scheduling.members import Members
    from generation.scheduling.worker_pool import WorkerPool

    take, release, empty, listen = Members.take, Members.release, Members.empty, WorkerPool.events

    def say_taken(self: Any, state: Any, image_id: str, attempt: int, model: str) -> None:
        take(self, state, image_id, attempt, model)
        _say("given", state.name, image_id, attempt)

    def say_ended(self: Any, image_id: str) -> Any:
        state = release(self, image_id)
        _say("ended", state.name, image_id, 0)
        return state

    def say_lost(self: Any, state: Any) -> dict[str, int]:
        _say("lost", state.name, "", 0)
        return empty(self, state)

    async def say_progress(self: Any) -> AsyncIterator[Any]:
        async for name, event in listen(self):
            if isinstance(event, Progress):
                _say("painted", name, event.image_id, event.attempt)
            yield name, event

    patched: Any = Members
    patched.take, patched.release, patched.empty = say_taken, say_ended, say_lost
    pool: Any = WorkerPool
    pool.events = say_progress


def _say(what: str, member: str, image_id: str, attempt: int) -> None:
    if (path := os.environ.get(FILE)) is not None:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps([time.monotonic(), os.getpid(), what, member, image_id, attempt]) + "\n")


@dataclass
class Trace:
    """What the newest life has told so far."""

    path: Path
    held: defaultdict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    """The attempt of each image at each member."""
    begun: set[tuple[str, int]] = field(default_factory=set)
    """Images that got on, by attempt."""
    losses: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """How often each image was lost with its member, in this life."""
    goes_on_s: dict[str, tuple[float, int]] = field(default_factory=dict)
    """When each image got on last, and in which attempt."""
    _life: int = 0
    _read: int = 0

    def read(self) -> None:
        """Take in what was told since."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._read)
            said = file.read()
        whole = said[: said.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            self._note(*json.loads(line))

    def at_work(self, member: str) -> Mapping[str, int]:
        """Return the images that a member holds, if it gets on with one of them."""
        held = self.held[member]
        return dict(held) if any(each in self.begun for each in held.items()) else {}

    def find_first(self, work: Mapping[str, int], since_s: float) -> float | None:
        """Return when the first of these images got on in a later attempt."""
        times = [
            at_s
            for image_id, attempt in work.items()
            if image_id in self.goes_on_s
            for at_s, newest in [self.goes_on_s[image_id]]
            if newest > attempt and at_s > since_s
        ]
        return min(times, default=None)

    def was_spared(self, work: Mapping[str, int], losses: Mapping[str, int]) -> bool:
        """Return whether all of these images have come to their end without another loss than those before."""
        is_held = any(image_id in held for held in self.held.values() for image_id in work)
        return not is_held and all(self.losses.get(image_id, 0) == losses.get(image_id, 0) for image_id in work)

    def _note(self, at_s: float, life: int, what: str, member: str, image_id: str, attempt: int) -> None:
        if life != self._life:
            self._life = life
            self.held.clear()
            self.losses.clear()
        match what:
            case "given":
                self.held[member][image_id] = attempt
            case "painted" if self.held[member].get(image_id) == attempt:
                self.begun.add((image_id, attempt))
                if self.goes_on_s.get(image_id, (0.0, 0))[1] != attempt:
                    self.goes_on_s[image_id] = at_s, attempt
            case "ended":
                self.held[member].pop(image_id, None)
            case "lost":
                for each in self.held[member]:
                    self.losses[each] += 1
