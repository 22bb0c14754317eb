"""What a member reads about their keys. Pure: values in, a message out."""

from __future__ import annotations

from collections.abc import Sequence

from cogs.common.formatting import escape_markdown, format_small
from cogs.common.messages import MessageSpec, Tone
from cogs.i18n.gettext import N_, _
from db.stores.api_keys import MAX_NAME, ApiKey

CREATED = N_("### Your key “{name}”")
ONCE = N_("Copy it now: it is shown only this once. To end it, use `/token revoke`.")
WARNING = N_(
    "Anyone who has it paints in your name: with your quota, under the rules of this server, and in your `/history`."
)
TITLE = N_("### Your keys here")
NONE = N_("You have no keys here. `/token create` makes one.")
REVOKED = N_("The key “{name}” opens nothing any more.")
NEVER_USED = N_("never used")


def build_created(name: str, secret: str) -> MessageSpec:
    """Return the only message that ever shows a key."""
    title = _(CREATED, name=escape_markdown(name, limit=MAX_NAME))
    return MessageSpec(blocks=(title, f"```\n{secret}\n```", _(ONCE), format_small(_(WARNING))), tone=Tone.DONE)


def build_keys(keys: Sequence[ApiKey]) -> MessageSpec:
    """Return the names of a member's keys, and when they were used."""
    lines = "\n".join(map(_format_key, keys))
    return MessageSpec(blocks=(_(TITLE), lines or _(NONE)))


def _format_key(key: ApiKey) -> str:
    name, made = escape_markdown(key.name, limit=MAX_NAME), f"<t:{int(key.created_at.timestamp())}:D>"
    if key.used_at is None:
        return _("**{name}** · made {date} · {used}", name=name, date=made, used=_(NEVER_USED))
    used = _("last used {time}", time=f"<t:{int(key.used_at.timestamp())}:R>")
    return _("**{name}** · made {date} · {used}", name=name, date=made, used=used)


def build_revoked(name: str) -> MessageSpec:
    return MessageSpec(blocks=(_(REVOKED, name=escape_markdown(name, limit=MAX_NAME)),), tone=Tone.DONE)
