"""The defaults of single channels in the settings panel: a channel is chosen, then what is painted in it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cogs.common.deleted_references import format_channel
from cogs.common.formatting import escape_markdown, format_small, join_dotted
from cogs.common.message_limits import NOTE_ROOM, count_fitting
from cogs.i18n.gettext import N_, _
from cogs.settings._field_kinds import Field, Installed, Of, Option
from generation.policy.guild_preferences import ASPECTS, ChannelDefaults, GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.translatable import Phrase

PAGE = "channels"
TITLE = N_("Channels")
NONE_YET = N_("No channel has defaults of its own. Choose one below: its defaults come before those of the server.")
EMPTY = N_("as in the server")
CHOICES = "channel_defaults"
"""Under this name they are kept in `GuildPreferences`."""
_NAMED = {
    "model": N_("Default model in {channel}"),
    "shape": N_("Default shape in {channel}"),
    "style": N_("Style in {channel}, where a member names none"),
}
CHANNEL = Field(
    key="channel",
    title=N_("Which channel"),
    empty=N_("choose a channel"),
    chosen=lambda settings: (),
    change=lambda settings, values: settings,
    of=Of.CHANNELS,
)


def build_fields(channel_id: int) -> tuple[Field, ...]:
    """Return the menus of one channel. Their keys name it."""
    return tuple(_build_field(name, channel_id) for name in _NAMED)


def find_field(key: str) -> Field | None:
    """Return the menu of that key, None for another."""
    channel_id = find_channel(key)
    found = () if channel_id is None else build_fields(channel_id)
    return next((field for field in found if field.key == key), None)


def find_channel(key: str) -> int | None:
    """Return the channel that the key of a menu names."""
    number = key.partition(":")[2]
    return int(number) if number else None


def _build_field(name: str, channel_id: int) -> Field:
    def get_chosen(settings: GuildSettings) -> Sequence[str]:
        value = getattr(settings.choices.channel_defaults.get(str(channel_id)), name, None)
        return [value] if value else []

    return Field(
        key=f"channel_{name}:{channel_id}",
        title=Phrase(_NAMED[name], channel=f"<#{channel_id}>"),
        empty=EMPTY,
        chosen=get_chosen,
        change=lambda settings, values: _change(settings, channel_id, name, values[0] if values else None),
        options=lambda installed: _list_options(name, installed),
        is_required=False,
    )


def _list_options(name: str, installed: Installed) -> Sequence[Option]:
    names = {"model": installed.models, "shape": ASPECTS, "style": installed.styles}[name]
    return [(each, each) for each in names]


def _change(settings: GuildSettings, channel_id: int, name: str, value: str | None) -> GuildSettings:
    known = settings.choices.channel_defaults
    changed = replace(known.get(str(channel_id), ChannelDefaults()), **{name: value})
    kept = {**known, str(channel_id): changed}
    return replace(
        settings,
        choices=replace(
            settings.choices, channel_defaults={key: each for key, each in kept.items() if each != ChannelDefaults()}
        ),
    )


def format_list(choices: GuildPreferences, gone: Sequence[str], *, room: int) -> str:
    """Return what the channels with defaults have, in so much room."""
    lines = [_format_channel(int(key), each, gone) for key, each in choices.channel_defaults.items()]
    number = count_fitting(lines, room - NOTE_ROOM)
    if number < len(lines):
        lines[number:] = [format_small(_("and {number} more", number=len(lines) - number))]
    return "\n".join(lines) or _(NONE_YET)


def _format_channel(channel_id: int, defaults: ChannelDefaults, gone: Sequence[str]) -> str:
    parts = [each for each in (defaults.model, defaults.shape, defaults.style) if each is not None]
    deleted = {each for each in (channel_id,) if str(each) in gone}
    return f"{format_channel(channel_id, deleted)} · {join_dotted(escape_markdown(each, limit=60) for each in parts)}"
