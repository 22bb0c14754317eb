"""What people read about the styles of a server. Pure: values in, a message out."""

from __future__ import annotations

from collections.abc import Sequence

from cogs.common.formatting import escaped
from cogs.common.messages import Lines, Say
from cogs.i18n.gettext import N_, _
from generation.requests.style import Style

KEY = "styles"
NO_STYLES = N_("No styles yet. `/style add` makes one, for those who manage this server.")
STYLE_KEPT = N_("**{name}** can be chosen with `/imagine style:`.")
STYLE_GONE = N_("**{name}** is gone.")
MAX_STYLE_CHARS = 120


def styles(known: Sequence[Style], *, done: str | None = None) -> Say:
    """The styles of a server, `done` first: what was just changed."""
    listed = Lines(tuple(style_line(style) for style in known), KEY) if known else _(NO_STYLES)
    return Say(blocks=(_("### Styles of this server"), *([done] if done else []), listed))


def style_line(style: Style) -> str:
    """A style by its name and words, cut to what tells it from others."""
    words, negative = escaped(style.prompt, limit=MAX_STYLE_CHARS), escaped(style.negative, limit=MAX_STYLE_CHARS // 2)
    avoided = " · " + _("not {words}", words=negative) if negative else ""
    return f"**{escaped(style.name)}** {words}{avoided}"
