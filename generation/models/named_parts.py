"""The parts of a model that were added by themselves, and may be those of several models: a VAE, a text encoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from generation.errors import ConfigurationError
from generation.models.hashing import compute_total_digest
from generation.models.names import label
from generation.models.registry import PARTS, TEXT_PARTS, Entry, Kind, ModelRegistry
from generation.program import format_command


class Parts(NamedTuple):
    """What a model takes in place of its own."""

    vae: Entry | None = None
    text_encoder: Entry | None = None
    text_encoder_2: Entry | None = None
    text_encoder_3: Entry | None = None

    @property
    def named(self) -> Mapping[str, Entry]:
        """Those that there are, by the folders of a model that are not read then."""
        return {name: part for name, part in self._asdict().items() if part is not None}

    def digest(self, entry: Entry) -> str:
        """Return the SHA-256 over all that is read of a model that takes them."""
        files = {name: part.files for name, part in self.named.items()}
        return compute_total_digest(entry.files, config=entry.config_files, **files)


NO_PARTS = Parts()


def find_parts(register: ModelRegistry, entry: Entry) -> Parts:
    """Return what a model names. Raise `ConfigurationError` if that is not in the register."""
    return Parts(**{part: _find(register, entry, getattr(entry, part), kind_of(part)) for part in PARTS})


def kind_of(part: str) -> Kind:
    """Return the kind of what takes the place of a model's part."""
    return Kind.TEXT_ENCODER if part in TEXT_PARTS else Kind.VAE


def find_image_encoder(register: ModelRegistry, entry: Entry) -> Entry:
    """Return what an IP-Adapter names. Raise `ConfigurationError` if that is not in the register."""
    found = _find(register, entry, entry.image_encoder, Kind.IMAGE_ENCODER)
    assert found is not None, "it was added with one"
    return found


def require_files(parts: Mapping[str, Path]) -> None:
    """Raise `ConfigurationError` unless what a model takes in place of its own is there."""
    for name, path in parts.items():
        if not path.exists():
            raise ConfigurationError(problem=f"Its {label(kind_of(name))} {path} is not there.", remedy="Put it back.")


def list_users(register: ModelRegistry, name: str) -> list[str]:
    """Return the names of the models and IP-Adapters that take a part."""
    return [each.name for each in register.entries if name in _list_named(each)]


def _list_named(entry: Entry) -> tuple[str, ...]:
    return entry.image_encoder, *(getattr(entry, part) for part in PARTS)


def _find(register: ModelRegistry, entry: Entry, name: str, kind: Kind) -> Entry | None:
    found = register.get(name) if name else None
    if name and found is None:
        problem = (
            f"The {label(entry.kind)} “{entry.name}” needs the {label(kind)} “{name}”, which is not in the register."
        )
        raise ConfigurationError(problem=problem, remedy=f"Add it: {format_command(f'models add FILE --name {name}')}.")
    return found
