"""The shapes that travel: JSON objects, as Discord's own documentation names their keys."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
