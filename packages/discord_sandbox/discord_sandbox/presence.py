"""What a bot shows of itself: its status, and what it is doing.

Source: https://discord.com/developers/docs/events/gateway-events#update-presence
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from discord_sandbox.gateway_codes import DECODE_ERROR
from discord_sandbox.world import World

MAX_UPDATES, WINDOW_S = 5, 20.0
MAX_TEXT = 128
CUSTOM = 4
_STATUSES = {"online", "dnd", "idle", "invisible", "offline"}
_VERBS = {0: "Playing", 1: "Streaming", 2: "Listening to", 3: "Watching", 5: "Competing in"}


def describe_presence(data: Any) -> str | None:
    """Return what people read of a presence, empty if it says nothing; None if it breaks a rule."""
    if not isinstance(data, dict) or data.get("status") not in _STATUSES or not isinstance(data.get("afk"), bool):
        return None
    activities = data.get("activities")
    if not isinstance(activities, list) or not all(isinstance(each, dict) for each in activities):
        return None
    texts = [_describe(each) for each in activities]
    return None if any(text is None for text in texts) else ", ".join(filter(None, texts))


def _describe(activity: dict[str, Any]) -> str | None:
    kind, name, state = activity.get("type"), activity.get("name"), activity.get("state")
    text = state if kind == CUSTOM else name
    if not isinstance(name, str) or not isinstance(text, str) or not 1 <= len(text) <= MAX_TEXT:
        return None
    if kind == CUSTOM:
        return text
    return f"{_VERBS[kind]} {text}" if kind in _VERBS else None


def take_presence(world: World, limit: PresenceLimit, data: Any, blame: Callable[[str], None]) -> int | None:
    """Show what the bot says of itself. Return the code to close with, or None."""
    if limit.is_over(asyncio.get_running_loop().time()):
        blame(f"more than {MAX_UPDATES} presence updates in {WINDOW_S:.0f} s")
    text = describe_presence(data)
    if text is None:
        blame("a presence that is none")
        return DECODE_ERROR
    world.application.presence = text
    world.publish("bot_status")
    return None


class PresenceLimit:
    """Counts the updates of one connection: Discord takes 5 in 20 s."""

    def __init__(self) -> None:
        self._at_s: deque[float] = deque(maxlen=MAX_UPDATES)

    def is_over(self, now_s: float) -> bool:
        """Count one; return whether it is one too many."""
        full = len(self._at_s) == MAX_UPDATES and now_s - self._at_s[0] < WINDOW_S
        self._at_s.append(now_s)
        return full
