"""The tags of forums and of their posts as Discord's JSON."""

from __future__ import annotations

from discord_sandbox.guilds import Channel
from discord_sandbox.json_types import Json


def serialize_tags(channel: Channel) -> Json:
    """Return what a forum, or a thread, says of its tags; nothing of any other channel."""
    if channel.is_thread:
        return {"applied_tags": [str(tag_id) for tag_id in channel.tags]}
    if not channel.is_forum:
        return {}
    tags = [
        {"id": str(tag_id), "name": name, "moderated": False, "emoji_id": None, "emoji_name": None}
        for tag_id, name in channel.tags.items()
    ]
    return {"available_tags": tags, "flags": 1 << 4 if channel.requires_tag else 0, "default_forum_layout": 0}
