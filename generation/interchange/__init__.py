"""Settings in pictures that other tools made: one small reader a tool, all giving the same value.

What such a file promises is its settings, not its bytes: another tool's noise is another noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from generation.interchange.a1111 import read_a1111
from generation.interchange.comfyui import read_comfyui
from generation.interchange.foreign import Foreign
from generation.interchange.invokeai import read_invokeai

__all__ = ["Foreign", "read_foreign"]

_READERS: tuple[Callable[[Mapping[str, str]], Foreign | None], ...] = (read_a1111, read_comfyui, read_invokeai)


def read_foreign(text: Mapping[str, str]) -> Foreign | None:
    """The settings among a PNG's text chunks, by keyword; None where no tool we know has written any."""
    for read in _READERS:
        found = read(text)
        if found is not None:
            return found
    return None
