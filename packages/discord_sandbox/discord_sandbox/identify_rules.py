"""Which IDENTIFY is refused, and with which close code."""

from __future__ import annotations

from discord_sandbox import gateway_codes as codes
from discord_sandbox.intents import KNOWN, PRIVILEGED
from discord_sandbox.json_types import Json
from discord_sandbox.world_state import Application


def find_identify_refusal(application: Application, data: Json) -> int | None:
    """Return the code to close the connection with, None for a right IDENTIFY."""
    shard_id, num_shards = data.get("shard") or (0, 1)
    intents = data.get("intents")
    if data.get("token", "").removeprefix("Bot ") != application.token:
        return codes.AUTH_FAILED
    if not 0 <= shard_id < num_shards:
        return codes.INVALID_SHARD
    if not isinstance(intents, int) or intents & ~KNOWN:
        return codes.INVALID_INTENTS
    if intents & PRIVILEGED & ~application.privileged_intents:
        return codes.DISALLOWED_INTENTS
    return None
