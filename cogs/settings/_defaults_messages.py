"""What people read about the defaults of the models in a server. Pure: values in, a message out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cogs.common.formatting import escape_markdown, format_small
from cogs.common.messages import Lines, MessageSpec
from cogs.common.model_lines import format_defaults, list_default_notes
from cogs.i18n.gettext import N_, _
from generation.models.catalog import Model

KEY = "defaults"
CHANGED = N_("Changed the defaults of **{model}**.")
OWN = N_("chosen by this server")


def build_defaults(models: Sequence[Model], chosen: Collection[str], *, done: str | None = None) -> MessageSpec:
    """Return the defaults of every model, `done` first: what was just changed. `chosen`: the models of the server."""
    lines = Lines(tuple(_format_model(model, is_chosen=model.name in chosen) for model in models), KEY)
    more = format_small(_("Members with “Manage Server” can change them with `/defaults set`."))
    return MessageSpec(blocks=(_("### Defaults of the models"), *([done] if done else []), lines, more))


def _format_model(model: Model, *, is_chosen: bool) -> str:
    own = f" · {_(OWN)}" if is_chosen else ""
    head = f"**{escape_markdown(model.name, limit=60)}** · {format_defaults(model.defaults)}{own}"
    return "\n".join((head, *map(format_small, list_default_notes(model.defaults))))
