"""Names of our samplers in other tools, and of the noise schedules in those names or beside them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from generation.requests.samplers import SAMPLERS

_ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "euler ancestral": "Euler a",
        "dpmpp 2m": "DPM++ 2M",
        "dpmpp 2m sde": "DPM++ 2M SDE",
        "dpmpp 2m sde gpu": "DPM++ 2M SDE",
        "pndm": "PLMS",
        "uni pc": "UniPC",
        "euler trailing": "Euler SGM Uniform",
        "euler a trailing": "Euler a SGM Uniform",
    }
)
_PLAIN = frozenset(("", "automatic", "normal", "uniform", "none", "native", "default"))
"""Schedules that are the sampler's own."""
_SCHEDULES = _PLAIN | {"karras", "exponential", "polyexponential", "sgm uniform", "kl optimal", "simple", "beta"}
_SCHEDULES |= {"ddim", "ddim uniform", "turbo", "linear quadratic", "trailing", "align your steps"}
_SCHEDULES |= {"align your steps gits", "align your steps 11", "align your steps 32"}
_AUTOMATIC: Mapping[str, str] = MappingProxyType({"DPM++ 2M": "karras", "DPM++ 2M SDE": "exponential"})
"""What the web UI takes for `Automatic`."""


class Found(NamedTuple):
    """Our name of a sampler; None if we lack it. `unread`: what of it we lack, to be named."""

    sampler: str | None = None
    unread: tuple[str, ...] = ()


def _fold_name(text: str) -> str:
    return " ".join(text.replace("_", " ").casefold().split())


_BY_FOLDED = {_fold_name(name): name for name in SAMPLERS} | dict(_ELSEWHERE)


def find_sampler(there: str | None, *, schedule: str | None = None) -> Found:
    """Return our sampler for another tool's, with the schedule within its name or beside it.

    A sampler we have keeps its name though its schedule is not here; one of which a word is unknown is another sampler.
    """
    if there is None or not there.strip():
        return Found()
    for base, within in _find_readings(_fold_name(there).removeprefix("k ")):
        return _add_schedule(_BY_FOLDED[base], within or _fold_name(schedule or ""))
    return Found(None, (f"Sampler: {there}",))


def read_sampler(text: str) -> str | None:
    """Return our sampler of that name, as this or another tool writes it, in any case; None if we lack a part of it."""
    found = find_sampler(text)
    return None if found.unread else found.sampler


def _find_readings(folded: str) -> list[tuple[str, str]]:
    """Return pairs of our sampler and a schedule that make up the name, the longest sampler first."""
    terms = folded.split(" ")[:12]
    splits = ((" ".join(terms[:at]), " ".join(terms[at:])) for at in range(len(terms), 0, -1))
    known = ((base, "karras" if rest == "k" else rest) for base, rest in splits if base in _BY_FOLDED)
    return [(base, rest) for base, rest in known if rest in _SCHEDULES]


def _add_schedule(base: str, schedule: str) -> Found:
    if schedule == "automatic":
        schedule = _AUTOMATIC.get(base, "")
    with_schedule = _BY_FOLDED.get(f"{_fold_name(base)} {schedule}")
    if with_schedule is not None:
        return Found(with_schedule)
    is_own = schedule in _PLAIN or _fold_name(base).endswith(f" {schedule}")
    is_own |= base == "DDIM" and schedule in ("ddim", "ddim uniform")
    return Found(base, () if is_own else (f"Schedule type: {schedule}",))
