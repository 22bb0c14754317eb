"""The effective permissions of a member: those of their roles, then the overwrites of the channel.

Source: https://discord.com/developers/docs/topics/permissions
"""

from __future__ import annotations

from discord_sandbox.guilds import Channel, Member
from discord_sandbox.permissions import ALL, TIMED_OUT, Permission, apply_overwrites


def compute_guild_permissions(member: Member) -> int:
    """Return the permissions of `member` in the guild, before the overwrites of a channel."""
    guild = member.guild
    if guild.owner_id == member.id:
        return ALL
    bits = guild.everyone.permissions
    for role in member.roles:
        bits |= role.permissions
    if bits & Permission.ADMINISTRATOR:
        return ALL
    return bits & TIMED_OUT if member.timed_out_until else bits


def compute_channel_permissions(member: Member, channel: Channel) -> int:
    """Return the permissions of `member` in `channel`. Threads take their parent's overwrites."""
    bits = compute_guild_permissions(member)
    if bits & Permission.ADMINISTRATOR:
        return ALL
    overwrites = (channel.parent or channel).overwrites
    bits = apply_overwrites(bits, [overwrites.get(member.guild.id)])
    bits = apply_overwrites(bits, [overwrites.get(role.id) for role in member.roles])
    bits = apply_overwrites(bits, [overwrites.get(member.id)])
    bits = bits & TIMED_OUT if member.timed_out_until else bits
    return bits if bits & Permission.VIEW_CHANNEL else 0
