"""The light engine as on another graphics card: another fingerprint, so other recipes and bytes."""

from __future__ import annotations

from typing import Any

from bench.light_engine import LightEngine
from generation.requests.recipe import Fingerprint


class AnotherCard(LightEngine):
    """See the module's text."""

    def __init__(self, *options: Any) -> None:
        super().__init__(*options)
        self.fingerprint = Fingerprint({"engine": "another card"})
