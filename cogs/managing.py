"""Who may run a server. Discord's own permission settings are a hint to its client; this is the check."""

from __future__ import annotations

from cogs.services import Interaction
from generation.errors import NotAllowed

NOT_A_MANAGER = "Only those who may manage this server (“Manage Server”) can do that."
ONLY_IN_SERVERS = "That belongs to a server: there is nothing to manage in direct messages."


def require_manager(interaction: Interaction) -> int:
    """The server's id, if the person may manage it. Raises `NotAllowed`."""
    if interaction.guild_id is None:
        raise NotAllowed(why=ONLY_IN_SERVERS)
    if not interaction.permissions.manage_guild:
        raise NotAllowed(why=NOT_A_MANAGER)
    return interaction.guild_id
