"""What people read about the lists of a server. Pure: values in, a message out."""

from __future__ import annotations

from collections.abc import Sequence

from cogs.common.formatting import escape_markdown, format_small
from cogs.common.forms import Form, Text
from cogs.common.messages import Action, Lines, Long, MessageSpec
from cogs.i18n.gettext import N_, _, format_labelled, ngettext
from generation.requests.wildcards import Lists
from generation.requests.word_lists import MAX_CHARS, MAX_LINES, MAX_NAME_CHARS, join_lines

KEY = "lists"
NAME, LINES = "name", "lines"
NO_LISTS = N_("There are no lists yet. Members with “Manage Server” can add one with `/list add`.")
LIST_KEPT = N_("Saved the list. Write `{name}` in a prompt to draw one of its lines.")
LIST_GONE = N_("Removed the list **{name}**.")
MAX_SHOWN_CHARS = 100


def build_lists(known: Lists, *, done: str | None = None) -> MessageSpec:
    """Return the lists of a server, `done` first: what was just changed."""
    listed = Lines(tuple(_format_list(name, known[name]) for name in sorted(known)), KEY) if known else _(NO_LISTS)
    return MessageSpec(blocks=(_("### Lists of this server"), *([done] if done else []), listed))


def build_list(name: str, lines: Sequence[str], *, done: str | None = None) -> MessageSpec:
    """Return all lines of one list, which do not fit one message where they are many."""
    use = _("Write `{name}` in a prompt to draw one of its lines.", name=f"__{name}__")
    head = f"### {escape_markdown(name)}\n{format_small(_count(lines))}"
    text = Long(join_lines(lines), "list.txt", _("The list"), is_code=True)
    return MessageSpec(blocks=(head, done or use, text))


def build_list_form(name: str, lines: Sequence[str]) -> Form:
    """Return the form that a list is written in, with the lines it has."""
    hint = _("One choice per line, at most {most} lines.", most=MAX_LINES)
    fields = (
        Text(key=NAME, label=_("Name"), value=name, is_required=True, max_chars=MAX_NAME_CHARS),
        Text(
            key=LINES,
            label=_("Lines"),
            value=join_lines(lines),
            hint=hint,
            is_long=True,
            is_required=True,
            max_chars=MAX_CHARS,
        ),
    )
    return Form(action=Action.LIST, subject="", title=_("Write a list"), fields=fields)


def _format_list(name: str, lines: Sequence[str]) -> str:
    shown = escape_markdown(" · ".join(lines), limit=MAX_SHOWN_CHARS)
    return format_labelled(f"`__{name}__` {_count(lines)}", shown)


def _count(lines: Sequence[str]) -> str:
    return ngettext("{number} line", "{number} lines", len(lines))
