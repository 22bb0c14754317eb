"""What the members of a fleet say of themselves, as one table, and what in it keeps a member from work. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from generation.fleet.messages import FleetReport, MemberFacts, Version
from generation.fleet.version import describe_difference

_HEADINGS = ("member", "device", "version", "libraries", "fingerprint", "models", "clock", "state")
_MOST_AHEAD_S = 30.0
"""A clock that is further away makes logs of two machines hard to read together; nothing else depends on it."""


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """The table, and below it what fingerprints differ in and one sentence for each thing to look at."""

    lines: tuple[str, ...]
    concerns: tuple[str, ...]


def describe(report: FleetReport, ours: Version) -> FleetStatus:
    """Return the members as a table. `ours` is what the bot runs."""
    members = dict(sorted(report.members.items()))
    letters = _name_fingerprints(members.values())
    rows = [_row(name, facts, letters) for name, facts in members.items()]
    others = dict.fromkeys(report.unused, "no bot has it") | dict.fromkeys(report.refused, "not usable")
    rows += [(name, *("" for _ in _HEADINGS[2:]), state) for name, state in sorted(others.items())]
    concerns = [*_list_concerns(members, ours), *(f"{name}: {why}" for name, why in sorted(report.refused.items()))]
    if not rows:
        concerns.append("No machine has joined: run `fleet join` on one.")
    table = tuple(_align((_HEADINGS, *rows))) if rows else ()
    return FleetStatus((*table, *_list_differences(members.values(), letters), *concerns), tuple(concerns))


def _row(name: str, facts: MemberFacts, letters: dict[str, str]) -> tuple[str, ...]:
    libraries = " ".join(f"{library} {version}" for library, version in facts.libraries.items())
    models = ", ".join(f"{model} {sha256[:8]}".strip() for model, sha256 in sorted(facts.models.items())) or "none"
    return (
        name,
        facts.device,
        f"{facts.version.program} ({facts.version.code})",
        libraries,
        letters.get(facts.fingerprint, "none yet"),
        models,
        f"{facts.clock_s:+.1f} s",
        _describe_state(facts),
    )


def _describe_state(facts: MemberFacts) -> str:
    if facts.is_draining:
        return "drained" if not facts.num_slots else "draining"
    return f"up, {facts.num_slots} slots" if facts.num_slots else "no engine is up"


def _name_fingerprints(members: Iterable[MemberFacts]) -> dict[str, str]:
    """Return a short name for each fingerprint: members that share one paint the same bytes."""
    digests = sorted({facts.fingerprint for facts in members if facts.fingerprint})
    return {digest: f"{chr(ord('A') + index % 26)} {digest[:8]}" for index, digest in enumerate(digests)}


def _list_differences(members: Iterable[MemberFacts], letters: dict[str, str]) -> Iterator[str]:
    """Yield in what each fingerprint differs from the first: members of both do not paint the same bytes."""
    kinds = sorted({letters[each.fingerprint]: each.painted_by for each in members if each.fingerprint}.items())
    for name, facts in kinds[1:]:
        first, usual = kinds[0]
        differing = sorted(key for key in facts.keys() | usual.keys() if facts.get(key) != usual.get(key))
        what = ", ".join(f"{key} {facts.get(key, 'none')}, not {usual.get(key, 'none')}" for key in differing)
        yield f"Fingerprint {name[0]} is not {first[0]}: {what}."


def _list_concerns(members: dict[str, MemberFacts], ours: Version) -> Iterator[str]:
    for name, facts in members.items():
        if difference := describe_difference(name, facts.version, ours):
            yield difference
        for model, why in sorted(facts.missing.items()):
            yield f"{name} cannot paint with {model}: {why}"
        if facts.trouble:
            yield f"{name}: {facts.trouble}"
        if abs(facts.clock_s) > _MOST_AHEAD_S:
            yield f"The clock of {name} differs from this machine's by {facts.clock_s:+.0f} s: set it."


def _align(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS) - 1)]
    for row in rows:
        yield "  ".join((*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[-1])).rstrip()
