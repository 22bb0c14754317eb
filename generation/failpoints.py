"""Places where a crash test may end the process, one after each step that must survive it. Off unless armed.

Only the operator's environment arms them, when the program starts (`bot.py`); nothing that arrives over Discord can.
A place that is not armed costs a look into an empty dict.
"""

from __future__ import annotations

import os
import signal

from generation.errors import ConfigurationError

OF_WORKER = ("rendered", "checked", "encoded")
"""Passed in the worker's process; all others in the bot's."""
NAMES = (
    "accepted",  # the job is on disk, the user is not notified yet
    "claimed",  # the image is a worker's, the worker does not know
    *OF_WORKER,  # the pixels exist; may be shown; are a frame that was not sent
    "signed",  # the PNG is complete, in memory
    "file_renamed",  # the PNG is on disk under its name, no row knows of it
    "settled",  # status, recipe, ledger and delivery are on disk
    "posted",  # the result is posted, but not recorded as posted
    "marked_delivered",  # noted
)

_passes_left: dict[str, int] = {}


def arm(text: str) -> None:
    """Arm `settled`, or `settled:3` for the third passing; several with commas; nothing disarms all.

    Raise `ConfigurationError` for a name that does not exist.
    """
    _passes_left.clear()
    for part in filter(None, text.replace(" ", "").split(",")):
        name, _, passes = part.partition(":")
        if name not in NAMES or not (passes or "1").isdecimal() or passes == "0":
            problem = f"ATELIER_FAILPOINTS cannot hold “{part[:40]}”."
            raise ConfigurationError(
                problem=problem, remedy=f"It is for crash tests; its names are {', '.join(NAMES)}."
            )
        _passes_left[name] = int(passes or 1)


def take_armed() -> str:
    """Return what is armed of the worker's places, as text for `arm`.

    Only the first worker gets it: the next one must live.
    """
    handed = [f"{name}:{_passes_left.pop(name)}" for name in OF_WORKER if name in _passes_left]
    return ",".join(handed)


def reached(name: str) -> None:
    """Mark this step as done. If the place is armed and its turn has come, the process ends here, as in a power cut."""
    if name in _passes_left:
        _count_down(name)


def _count_down(name: str) -> None:
    _passes_left[name] -= 1
    if _passes_left[name] == 0:
        os.write(2, f"action=failpoint name={name} pid={os.getpid()}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)
