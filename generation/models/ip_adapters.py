"""The IP-Adapters that the operator added, with their image encoders, and which of them fit a model. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from generation.errors import ConfigurationError
from generation.models.hashing import KnownFile, compute_total_digest
from generation.models.named_parts import find_image_encoder
from generation.models.registry import Entry, Kind, ModelRegistry
from generation.models.shared_additions import list_known_files
from generation.requests.errors import AddonChangedError, NoIpAdapterError, UnknownIpAdapterError
from generation.requests.image_prompt import ImagePrompt


@dataclass(frozen=True, slots=True, kw_only=True)
class IpAdapterFile:
    """An IP-Adapter that the operator added, for models of one family."""

    name: str
    path: Path
    encoder: Path
    """The folder of its image encoder."""
    sha256: str
    """Of all that is read of both (`hashing.compute_total_digest`)."""
    family: str = ""
    """Empty where only the width of prompts is known."""
    context_width: int = 0
    licence: str = ""
    known_files: tuple[KnownFile, ...] = ()

    def fits(self, family: str, context_width: int) -> bool:
        """Return whether it was made for models of that family that read prompts of that width."""
        return self.family in ("", family) and self.context_width == context_width


def list_ip_adapters(register: ModelRegistry, folder: Path, left_out: dict[str, str]) -> Iterator[IpAdapterFile]:
    """Yield those whose files are there; of others `left_out` is told."""
    for entry in register.entries:
        if entry.kind is not Kind.IP_ADAPTER:
            continue
        try:
            file = ip_adapter_of(register, entry, folder)
        except ConfigurationError as refused:
            left_out[entry.name] = str(refused)
            continue
        if missing := [path for path in (file.path, file.encoder) if not path.exists()]:
            left_out[entry.name] = f"{missing[0]} is not there."
        else:
            yield file


def ip_adapter_of(register: ModelRegistry, entry: Entry, folder: Path) -> IpAdapterFile:
    """Return what an entry of the register is to the engine. Raise `ConfigurationError` if its encoder is gone."""
    encoder = find_image_encoder(register, entry)
    return IpAdapterFile(
        name=entry.name,
        path=entry.place(folder),
        encoder=encoder.place(folder),
        sha256=compute_total_digest(entry.files, config={}, image_encoder=encoder.files),
        family=entry.family,
        context_width=entry.context_width,
        licence=entry.licence,
        known_files=list_known_files(entry, encoder, folder=folder),
    )


def find_ip_adapter(fitting: Sequence[IpAdapterFile], name: str | None, *, model: str) -> IpAdapterFile:
    """Return the IP-Adapter of that name among those that fit a model, or the first where none is named.

    Raise `InvalidRequestError` if it is not among them.
    """
    if not fitting:
        raise NoIpAdapterError(model=model)
    found = next((each for each in fitting if name in (None, each.name)), None)
    if found is None:
        available = ", ".join(each.name for each in fitting)
        raise UnknownIpAdapterError(name=(name or "")[:60], model=model, available=available)
    return found


def require_ip_adapter(fitting: Sequence[IpAdapterFile], prompt: ImagePrompt, *, model: str) -> None:
    """Raise `InvalidRequestError` unless the one that a spec names is here, is the same file, and fits the model."""
    if find_ip_adapter(fitting, prompt.adapter, model=model).sha256 != prompt.adapter_sha256:
        raise AddonChangedError(name=prompt.adapter)
