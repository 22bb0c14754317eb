"""The light engine as if on another graphics card: its fingerprint, its recipe in the file, and so its bytes are others."""

from __future__ import annotations

from typing import Any

from bench.light_engine import LightEngine
from generation.recipe import Fingerprint


class AnotherCard(LightEngine):
    """See the module's text."""

    def __init__(self, *options: Any) -> None:
        super().__init__(*options)
        self.fingerprint = Fingerprint({"engine": "another card"})
