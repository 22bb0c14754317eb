"""What people read about the styles of a server. Pure: values in, a message out."""

from __future__ import annotations

from collections.abc import Sequence

from cogs.common.formatting import escape_markdown
from cogs.common.messages import Lines, MessageSpec
from cogs.i18n.gettext import N_, _
from generation.requests.style import Style

KEY = "styles"
NO_STYLES = N_("There are no styles yet. Members with “Manage Server” can add one with `/style add`.")
STYLE_KEPT = N_("Saved the style **{name}**. Choose it with `/imagine style:`.")
STYLE_GONE = N_("Removed the style **{name}**.")
MAX_STYLE_CHARS = 120


def build_styles(known: Sequence[Style], *, done: str | None = None) -> MessageSpec:
    """Return the styles of a server, `done` first: what was just changed."""
    listed = Lines(tuple(format_style(style) for style in known), KEY) if known else _(NO_STYLES)
    return MessageSpec(blocks=(_("### Styles of this server"), *([done] if done else []), listed))


def format_style(style: Style) -> str:
    """Return a style by its name and words, cut to what tells it from others."""
    words, negative = (
        escape_markdown(style.prompt, limit=MAX_STYLE_CHARS),
        escape_markdown(style.negative, limit=MAX_STYLE_CHARS // 2),
    )
    avoided = " · " + _("not {words}", words=negative) if negative else ""
    return f"**{escape_markdown(style.name)}** {words}{avoided}"
