"""/token: make a key, name those there are, end one. A key is shown once, to its member alone."""

from __future__ import annotations

from typing import Any

from discord import app_commands
from discord.app_commands import Transform
from discord.ext import commands

from cogs.common.checks import build_audit_entry
from cogs.common.errors import ApiOffError
from cogs.common.policy_checks import require_may_request
from cogs.common.responses import send_reply
from cogs.common.transformers import filter_choices
from cogs.context import Interaction, get_owner, is_in_server
from cogs.token import _messages
from db.stores.api_keys import MAX_NAME
from generation.admission.errors import UserInstallsOffError
from generation.admission.gate import require_usable_over_http
from generation.owner import Owner
from generation.translatable import Phrase

CREATED, REVOKED = Phrase("made a key of the API"), Phrase("revoked a key of the API")


class KeyOption(app_commands.Transformer[Any]):
    """One of the member's own keys, by name."""

    @property
    def max_value(self) -> int:
        return MAX_NAME

    async def transform(self, interaction: Interaction, value: str, /) -> str:
        return value

    async def autocomplete(  # type: ignore[override]
        self, interaction: Interaction, value: str, /
    ) -> list[app_commands.Choice[str]]:
        keys = await interaction.client.services.api_keys.fetch_live(get_owner(interaction))
        return filter_choices([(each.name, each.name) for each in keys], value)


@app_commands.guild_only()
class TokenGroup(
    commands.GroupCog,
    group_name="token",
    group_description="Keys for your programs: they paint over HTTP what you may paint here.",
):
    """One's own only: there is no way to name another person."""

    @app_commands.command(description="Make a key for a program. It is shown once, to you alone.")
    @app_commands.describe(name="What you call the key, for example the program that gets it.")
    async def create(self, interaction: Interaction, name: app_commands.Range[str, 1, MAX_NAME]) -> None:
        owner, services = _require_server(interaction), interaction.client.services
        if not services.has_api:
            raise ApiOffError
        require_usable_over_http((await require_may_request(interaction)).policy)
        secret = await services.api_keys.create(owner, name, build_audit_entry(interaction, CREATED))
        await send_reply(interaction, _messages.build_created(name, secret))

    @app_commands.command(name="list", description="Show the names of your keys, and when they were used.")
    async def list_(self, interaction: Interaction) -> None:
        keys = await interaction.client.services.api_keys.fetch_live(_require_server(interaction))
        await send_reply(interaction, _messages.build_keys(keys))

    @app_commands.command(description="End one of your keys, at once.")
    @app_commands.describe(name="The name of the key.")
    async def revoke(self, interaction: Interaction, name: Transform[str, KeyOption]) -> None:
        owner, entry = _require_server(interaction), build_audit_entry(interaction, REVOKED)
        await interaction.client.services.api_keys.revoke(owner, name, entry)
        await send_reply(interaction, _messages.build_revoked(name))


def _require_server(interaction: Interaction) -> Owner:
    """Return whose keys they are. Raise `UserInstallsOffError` in a server without the bot, whose rules are unknown."""
    if not is_in_server(interaction):
        raise UserInstallsOffError
    return get_owner(interaction)
