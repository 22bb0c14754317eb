"""Where messages go: the answer to an interaction, or what is in its place already. Each is kept within the limits."""

from __future__ import annotations

from collections.abc import Mapping

from cogs.common.messages import MessageSpec
from cogs.common.plain_text import build_plain
from cogs.common.rendering import render_edit, render_new
from cogs.context import Interaction, ListBuilder
from generation.errors import UnknownJobError


async def send_reply(interaction: Interaction, say: MessageSpec, *, page: int = 0) -> None:
    """Answer with a message for the person alone, whether or not the interaction is acknowledged."""
    if interaction.response.is_done():
        await interaction.followup.send(**render_new(say, page), ephemeral=True)
    else:
        await interaction.response.send_message(**render_new(say, page), ephemeral=True)


async def send_text(interaction: Interaction, text: str) -> None:
    """Answer with plain text for the person alone, as `send_reply` does."""
    if interaction.response.is_done():
        await interaction.followup.send(**build_plain(text), ephemeral=True)
    else:
        await interaction.response.send_message(**build_plain(text), ephemeral=True)


async def edit_reply(interaction: Interaction, say: MessageSpec, *, page: int = 0) -> None:
    """Put the message in the place of what an acknowledged interaction shows."""
    await interaction.edit_original_response(**render_edit(say, page))


async def show_page(interaction: Interaction, subject: str, lists: Mapping[str, ListBuilder]) -> None:
    """Show another page of a list. Raise `UnknownJobError` for a forged button, `NotAllowedError` for who may not
    read it."""
    key, _, number = subject.rpartition(":")
    name, _, rest = key.partition(":")
    is_private = interaction.message is not None and interaction.message.flags.ephemeral
    if name not in lists or not number.isdecimal() or len(number) > 6 or not is_private:
        raise UnknownJobError
    await interaction.response.defer()
    await edit_reply(interaction, await lists[name](interaction, rest), page=int(number))
