"""The answer to a request for members."""

from __future__ import annotations

from typing import Any

from discord_sandbox.guilds import Guild
from discord_sandbox.json_types import Json
from discord_sandbox.payloads import serialize_member


def serialize_members_chunk(guild: Guild, request: Json) -> Json:
    """Return the members that a request names, by their ids or by how their names begin."""
    wanted = {str(item) for item in _wrap_in_list(request.get("user_ids"))}
    query = str(request.get("query") or "").lower()
    members = [
        serialize_member(m)
        for m in guild.members.values()
        if (str(m.id) in wanted if wanted else m.display_name.lower().startswith(query))
    ]
    chunk: Json = {"guild_id": str(guild.id), "members": members, "chunk_index": 0, "chunk_count": 1, "not_found": []}
    return chunk | ({"nonce": request["nonce"]} if request.get("nonce") else {})


def _wrap_in_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
