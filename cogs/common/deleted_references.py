"""What a server chose and is no longer there: deleted roles and channels, models that were removed.

Worked out from what is there now, so it also holds for what was deleted while the bot was away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import discord

from cogs.common.errors import IdError, RoleDeletedError
from cogs.i18n.gettext import N_, _
from generation.policy.guild_preferences import NO_CHANNEL_DEFAULTS, ChannelDefaults, GuildPreferences
from generation.policy.guild_settings import GuildSettings

DELETED_ROLE = N_("role `{id}` (deleted)")
DELETED_CHANNEL = N_("channel `{id}` (deleted)")

_ROLES = ("role_ids", "start_image_role_ids")


def find_deleted_roles(guild: discord.Guild | None, role_ids: Iterable[int]) -> frozenset[int]:
    """Return those that were deleted; none where the guild is not known."""
    if guild is None or guild.get_role(guild.id) is None:
        return frozenset()
    return frozenset(each for each in role_ids if guild.get_role(each) is None)


def find_deleted_channels(guild: discord.Guild | None, channel_ids: Iterable[int]) -> frozenset[int]:
    """Return those that were deleted; none where the guild is not known."""
    if guild is None or guild.get_role(guild.id) is None:
        return frozenset()
    return frozenset(each for each in channel_ids if guild.get_channel_or_thread(each) is None)


def find_deleted_tags(guild: discord.Guild | None, choices: GuildPreferences) -> frozenset[int]:
    """Return the chosen tags that the forum for sharing has no more; none where it is not known."""
    forum = guild.get_channel(choices.share_channel_id) if guild is not None else None
    known = {tag.id for tag in forum.available_tags} if isinstance(forum, discord.ForumChannel) else None
    return frozenset() if known is None else frozenset(choices.share_tags) - known


def find_deleted(
    choices: GuildPreferences,
    guild: discord.Guild | None,
    models: Collection[str],
    *,
    upscalers: Collection[str] = (),
) -> dict[str, tuple[str, ...]]:
    """Return what of the choices is gone, by the name of the choice. `models`, `upscalers`: the names there are."""
    channels = find_deleted_channels(guild, choices.channel_ids)
    log = find_deleted_channels(guild, (choices.log_channel_id,)) if choices.log_channel_id else ()
    wanted = [choices.default_model] if choices.default_model is not None else []
    found: dict[str, Iterable[object]] = {
        "channel_ids": channels,
        "log_channel_id": log,
        "share_channel_id": find_deleted_channels(guild, filter(None, (choices.share_channel_id,))),
        "share_tags": find_deleted_tags(guild, choices),
        **{key: find_deleted_roles(guild, getattr(choices, key)) for key in _ROLES},
        "models": [each for each in choices.models if each not in models],
        "default_model": [each for each in wanted if each not in models],
        "default_upscaler": [each for each in (choices.default_upscaler,) if each and each not in upscalers],
        "model_defaults": [each for each in choices.model_defaults if each not in models],
        "channel_defaults": [
            *find_deleted_channels(guild, map(int, choices.channel_defaults)),
            *(each.model for each in choices.channel_defaults.values() if each.model and each.model not in models),
        ],
    }
    return {key: tuple(map(str, each)) for key, each in found.items() if each}


def remove_deleted(settings: GuildSettings, gone: dict[str, tuple[str, ...]]) -> GuildSettings:
    """Return the settings without what is gone."""
    choices = settings.choices
    models = tuple(each for each in choices.models if each not in gone.get("models", ()))
    default = choices.default_model
    is_usable = default not in gone.get("default_model", ()) and (not models or default in models)

    def kept(key: str) -> tuple[int, ...]:
        return tuple(each for each in getattr(choices, key) if str(each) not in gone.get(key, ()))

    changed = replace(
        choices,
        models=models,
        default_model=default if is_usable else None,
        default_upscaler=None if "default_upscaler" in gone else choices.default_upscaler,
        model_defaults={
            name: each for name, each in choices.model_defaults.items() if name not in gone.get("model_defaults", ())
        },
        channel_defaults=_keep_channel_defaults(choices, gone.get("channel_defaults", ())),
        share_channel_id=0 if "share_channel_id" in gone else choices.share_channel_id,
        share_tags=kept("share_tags"),
        log_channel_id=0 if "log_channel_id" in gone else choices.log_channel_id,
        channel_ids=kept("channel_ids"),
        role_ids=kept("role_ids"),
        start_image_role_ids=kept("start_image_role_ids"),
    )
    return replace(settings, choices=changed)


def _keep_channel_defaults(choices: GuildPreferences, gone: Collection[str]) -> dict[str, ChannelDefaults]:
    kept = {
        channel_id: replace(each, model=None) if each.model in gone else each
        for channel_id, each in choices.channel_defaults.items()
        if channel_id not in gone
    }
    return {channel_id: each for channel_id, each in kept.items() if each != NO_CHANNEL_DEFAULTS}


def format_role(role_id: int, gone: Collection[int]) -> str:
    """Return a role as people read it: one that was deleted has only its number left."""
    return _(DELETED_ROLE, id=role_id) if role_id in gone else f"<@&{role_id}>"


def format_channel(channel_id: int, gone: Collection[int]) -> str:
    """Return a channel as people read it."""
    return _(DELETED_CHANNEL, id=channel_id) if channel_id in gone else f"<#{channel_id}>"


def require_role(guild: discord.Guild | None, role_id: int) -> None:
    """Raise `RoleDeletedError` for a role that was deleted."""
    if find_deleted_roles(guild, (role_id,)):
        raise RoleDeletedError


def read_id(text: str) -> int:
    """Return the id that was typed or pasted, also as a mention. Raise `IdError` for anything else."""
    digits = text.strip().strip("<@&#!>")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 20 and int(digits) < 2**63):
        raise IdError
    return int(digits)
