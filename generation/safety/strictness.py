"""How strictly pictures are judged: by the operator's thresholds, or by lower ones that a server chose."""

from __future__ import annotations

from enum import StrEnum


class Strictness(StrEnum):
    """How far below the operator's thresholds a server keeps pictures back. There is nothing above them."""

    USUAL = "usual"
    STRICT = "strict"
    STRICTEST = "strictest"

    @property
    def level(self) -> int:
        """By how many steps every threshold is lowered."""
        return list(Strictness).index(self)
