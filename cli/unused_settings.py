"""Finds settings that have no effect because of another one: a choice that silently does not hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cli.env_file import PREFIX
from config import Settings


@dataclass(frozen=True, slots=True)
class Group:
    """Settings that hold only if another one has a value (`is_set`), or only if it has none.

    `names`: in lower case; one that ends in `_` stands for all that begin with it.
    """

    names: tuple[str, ...]
    other: str
    is_set: bool = True

    def list_members(self) -> Iterator[str]:
        for field in Settings.model_fields:
            if field != self.other and any(
                field.startswith(each) if each[-1] == "_" else field == each for each in self.names
            ):
                yield field


GROUPS = (
    Group(("cloud_",), "cloud_url"),
    Group(("fleet_",), "fleet"),
    Group(("api_",), "api_port"),
    Group(("http_host",), "health_port"),
    Group(("c2pa_algorithm",), "c2pa_certificates"),
    Group(("open_nsfw_threshold", "hentai_threshold", "porn_threshold", "sexy_threshold"), "safety_checker"),
    Group(("device",), "devices", is_set=False),
)


def find_unused(settings: Settings) -> list[str]:
    """Return a sentence for each group of settings that were chosen and do not hold."""
    said = []
    for group in GROUPS:
        chosen = [name for name in group.list_members() if getattr(settings, name) != _get_default(name)]
        if chosen and bool(getattr(settings, group.other)) is not group.is_set:
            said.append(_describe(chosen, group))
    return said


def _describe(chosen: list[str], group: Group) -> str:
    named = [f"{PREFIX}{name.upper()}" for name in chosen]
    names = " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))
    other = f"{PREFIX}{group.other.upper()}"
    verb = "has" if len(named) == 1 else "have"
    if group.is_set:
        return f"{names} {verb} no effect without {other}."
    return f"{names} {verb} no effect beside {other}."


def _get_default(name: str) -> object:
    return Settings.model_fields[name].get_default()
