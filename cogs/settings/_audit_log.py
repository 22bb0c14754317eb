"""“Who changed what” in a server, behind its button in the settings panel."""

from __future__ import annotations

from collections.abc import Sequence

from cogs.common.checks import require_manager
from cogs.common.formatting import escape_markdown
from cogs.common.messages import Lines, MessageSpec
from cogs.common.responses import send_reply
from cogs.context import Interaction, ListBuilder
from cogs.i18n.gettext import _, format_value
from generation.policy.audit import Change

KEY = "changes"
NUM_CHANGES = 100
MAX_CHARS = 150


async def show_changes(interaction: Interaction) -> None:
    await send_reply(interaction, await _build_changes(interaction, ""))


async def _build_changes(interaction: Interaction, _: str) -> MessageSpec:
    guild_id = require_manager(interaction)
    return build_page(await interaction.client.services.audit_log.fetch_changes(guild_id, limit=NUM_CHANGES))


def build_page(changes: Sequence[Change]) -> MessageSpec:
    """Return the last changes, newest first."""
    lines = tuple(_format_change(each) for each in changes)
    return MessageSpec(
        blocks=(_("### Who changed what"), Lines(lines, KEY) if lines else _("There are no changes yet."))
    )


def _format_change(change: Change) -> str:
    who = f"<@{change.user_id}>" if change.user_id else _("a deleted member")
    return f"<t:{int(change.at.timestamp())}:R> · {who} · {escape_markdown(format_value(change.text), limit=MAX_CHARS)}"


LISTS: dict[str, ListBuilder] = {KEY: _build_changes}
