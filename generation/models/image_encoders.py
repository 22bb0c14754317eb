"""The image encoder of an IP-Adapter that is added: named, added before, or beside it, as repositories have them."""

from __future__ import annotations

from pathlib import Path

from generation.errors import ConfigurationError
from generation.models.add_parts import AddPart, find_part
from generation.models.inspect import Description
from generation.models.ip_adapter_layout import Layout, read_encoder_width, read_ip_adapter
from generation.models.json_file import read_json
from generation.models.registry import Entry, Kind, ModelRegistry
from generation.models.safetensors_header import read_tensors

_PLACES = ("image_encoder", "../models/image_encoder")
"""Folders beside the file of an IP-Adapter."""


def name_image_encoder(models_dir: Path, path: Path, found: Description, wanted: str | None, add_part: AddPart) -> str:
    """Return the name of the image encoder of an IP-Adapter, empty for all else; `add_part` adds one by its path.

    Raise `ConfigurationError` if there is none that fits, or one is named for something else.
    """
    if found.kind is not Kind.IP_ADAPTER:
        if wanted is not None:
            raise ConfigurationError(problem="--image-encoder is for IP-Adapters.", remedy="Leave it out.")
        return ""
    layout = read_ip_adapter(read_tensors(path).shapes)
    if wanted is None:
        return _find_fitting(models_dir, path, layout, add_part)
    named = find_part(models_dir, wanted, "image_encoder", add_part)
    width = _read_width(named.place(models_dir), layout)
    if width != layout.image_width:
        what = "patch" if layout.is_plus else "picture"
        problem = f"The image encoder {named.name} says {width} numbers of a {what}, and {path} reads"
        remedy = "Name the image encoder that it was made with, as its page says."
        raise ConfigurationError(problem=f"{problem} {layout.image_width}.", remedy=remedy)
    return named.name


def _find_fitting(models_dir: Path, path: Path, layout: Layout, add_part: AddPart) -> str:
    known: tuple[Entry, ...] = ModelRegistry.read(models_dir).entries
    for entry in known:
        if entry.kind is Kind.IMAGE_ENCODER and _read_width(entry.place(models_dir), layout) == layout.image_width:
            return entry.name
    for place in (path.parent / each for each in _PLACES):
        if _read_width(place, layout) == layout.image_width:
            return find_part(models_dir, str(place.resolve()), "image_encoder", add_part).name
    problem = f"{path} is an IP-Adapter, and no image encoder is here that it sees pictures through."
    remedy = "Name the folder of the one it was made with, as its page says: --image-encoder NAME|PATH."
    raise ConfigurationError(problem=problem, remedy=remedy)


def _read_width(folder: Path, layout: Layout) -> int:
    try:
        return read_encoder_width(read_json(folder / "config.json"), is_plus=layout.is_plus)
    except (OSError, ValueError, RecursionError):
        return 0
