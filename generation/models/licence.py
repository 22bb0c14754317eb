"""Reads the licence that a model states."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from huggingface_hub.repocard import metadata_load

from generation.characters import make_line

_MAX_CARD_BYTES = 4 * 1024 * 1024
_KEYS = ("modelspec.license", "license")
_MAX_CHARS = 120


def read_licence(readme: Path, metadata: Mapping[str, str] | None) -> str:
    """Return the licence in the README's front matter or a safetensors header; empty if neither has one."""
    card = read_card(readme)
    name = card.get("license_name") or card.get("license")
    if isinstance(name, str) and name:
        link = card.get("license_link")
        return _short(f"{name} ({link})" if isinstance(link, str) and "://" in link else name)
    return _short(next((metadata[key] for key in _KEYS if key in metadata), "") if metadata else "")


def read_card(readme: Path) -> Mapping[str, object]:
    try:
        if readme.is_symlink() or readme.stat().st_size > _MAX_CARD_BYTES:
            return {}
        return metadata_load(readme) or {}
    except Exception:  # a model card is untrusted text; YAML can fail in any way, and none of them matters
        return {}


def _short(text: str) -> str:
    return make_line(text, most=_MAX_CHARS)
