"""The type of a JSON object, with the keys that Discord's documentation names."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
