"""Reads the settings in pictures of other tools: one small reader a format, all returning the same value.

What such a file promises is its settings, not its bytes: another tool's noise is another noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from generation.images.interchange.a1111 import read_a1111
from generation.images.interchange.comfyui import read_comfyui
from generation.images.interchange.flat import read_flat
from generation.images.interchange.foreign import ForeignSettings as ForeignSettings

_READERS: tuple[Callable[[Mapping[str, str]], ForeignSettings | None], ...] = (read_a1111, read_comfyui, read_flat)


def read_foreign(text: Mapping[str, str]) -> ForeignSettings | None:
    """Return the settings among a picture's texts, by keyword; None if no known tool has written any.

    If a file holds several, those with a prompt go before those without.
    """
    found = [settings for read in _READERS if (settings := read(text)) is not None]
    return next((each for each in found if each.prompt), found[0] if found else None)
