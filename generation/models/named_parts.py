"""The parts of a model that were added by themselves, and may be those of several models: a VAE, a text encoder."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from generation.errors import ConfigurationError
from generation.models.hashing import compute_total_digest
from generation.models.names import label
from generation.models.registry import Entry, Kind, ModelRegistry
from generation.program import format_command


class Parts(NamedTuple):
    """What a model takes in place of its own."""

    vae: Entry | None = None
    text_encoder: Entry | None = None

    @property
    def replaced(self) -> frozenset[str]:
        """The folders of a model that are not read then."""
        return frozenset(name for name, part in self._asdict().items() if part is not None)

    def digest(self, entry: Entry) -> str:
        """Return the SHA-256 over all that is read of a model that takes them."""
        vae, text = ({} if part is None else part.files for part in self)
        return compute_total_digest(entry.files, config=entry.config_files, vae=vae, text_encoder=text)


NO_PARTS = Parts()


def find_parts(register: ModelRegistry, entry: Entry) -> Parts:
    """Return what a model names. Raise `ConfigurationError` if that is not in the register."""
    return Parts(
        vae=_find(register, entry, entry.vae, Kind.VAE),
        text_encoder=_find(register, entry, entry.text_encoder, Kind.TEXT_ENCODER),
    )


def find_image_encoder(register: ModelRegistry, entry: Entry) -> Entry:
    """Return what an IP-Adapter names. Raise `ConfigurationError` if that is not in the register."""
    found = _find(register, entry, entry.image_encoder, Kind.IMAGE_ENCODER)
    assert found is not None, "it was added with one"
    return found


def require_files(*, vae: Path | None, text_encoder: Path | None) -> None:
    """Raise `ConfigurationError` unless what a model takes in place of its own is there."""
    for kind, part in ((Kind.VAE, vae), (Kind.TEXT_ENCODER, text_encoder)):
        if part is not None and not part.exists():
            raise ConfigurationError(problem=f"Its {label(kind)} {part} is not there.", remedy="Put it back.")


def list_users(register: ModelRegistry, name: str) -> list[str]:
    """Return the names of the models and IP-Adapters that take a part."""
    return [each.name for each in register.entries if name in (each.vae, each.text_encoder, each.image_encoder)]


def _find(register: ModelRegistry, entry: Entry, name: str, kind: Kind) -> Entry | None:
    found = register.get(name) if name else None
    if name and found is None:
        problem = (
            f"The {label(entry.kind)} “{entry.name}” needs the {label(kind)} “{name}”, which is not in the register."
        )
        raise ConfigurationError(problem=problem, remedy=f"Add it: {format_command(f'models add FILE --name {name}')}.")
    return found
