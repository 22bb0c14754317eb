"""“Who changed what” in a server, behind its button in the settings panel."""

from __future__ import annotations

from collections.abc import Sequence

from cogs.common.checks import require_manager
from cogs.common.formatting import escaped
from cogs.common.messages import Lines, Say
from cogs.common.responses import reply
from cogs.context import Interaction, ListBuilder
from cogs.i18n.gettext import _, in_words
from generation.policy.audit import Change

KEY = "changes"
NUM_CHANGES = 100
MAX_CHARS = 150


async def show_changes(interaction: Interaction) -> None:
    await reply(interaction, await _changes(interaction, ""))


async def _changes(interaction: Interaction, _: str) -> Say:
    guild_id = require_manager(interaction)
    return page(await interaction.client.services.governance.fetch_changes(guild_id, limit=NUM_CHANGES))


def page(changes: Sequence[Change]) -> Say:
    """The last changes, newest first."""
    lines = tuple(_line(each) for each in changes)
    return Say(blocks=(_("### Who changed what"), Lines(lines, KEY) if lines else _("Nothing was changed yet.")))


def _line(change: Change) -> str:
    who = f"<@{change.user_id}>" if change.user_id else _("somebody since erased")
    return f"<t:{int(change.at.timestamp())}:R> · {who} · {escaped(in_words(change.text), limit=MAX_CHARS)}"


LISTS: dict[str, ListBuilder] = {KEY: _changes}
