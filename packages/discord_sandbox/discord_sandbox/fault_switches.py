"""The switches in the page's inspector: each injects one fault and says in a sentence what it did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from discord_sandbox.command_options import ActionRefusedError
from discord_sandbox.guilds import Channel, Guild
from discord_sandbox.interaction_payload import compute_bot_permissions
from discord_sandbox.json_types import Json
from discord_sandbox.permissions import Permission, may_send

TOKEN_LIFE_S = 15 * 60
_WRITING = Permission.SEND_MESSAGES | Permission.SEND_MESSAGES_IN_THREADS


class FaultSwitches:
    """`press` presses a switch for the channel that a tab shows."""

    def __init__(self, sandbox: Any) -> None:
        self._sandbox = sandbox
        self._faults = sandbox.faults
        self._switches: dict[str, Callable[[], str]] = {
            "rate_limit": self._rate_limit_requests,
            "error": self._fail_requests,
            "drop": self._drop_answer,
            "clear": self._clear_faults,
            "reconnect": self._reconnect,
            "invalidate": self._invalidate,
            "clock": self._advance_clock,
            "lose_files": self._lose_files,
        }
        self._closings: dict[str, Callable[[], Awaitable[str]]] = {
            "close_4000": lambda: self._close(4000, "the bot may resume"),
            "close_4009": lambda: self._close(4009, "the bot must identify again"),
        }
        self._of_places: dict[str, Callable[[Guild, Channel], str]] = {
            "mute": self._toggle_writing,
            "delete_channel": self._delete_channel,
            "kick": self._toggle_membership,
        }

    async def press(self, kind: str, channel: Channel | None) -> str:
        """Press a switch and return what was done, as a sentence. Raise ActionRefusedError where it cannot be done."""
        if kind in self._of_places:
            if channel is None or channel.guild is None:
                raise ActionRefusedError("Open a channel of a server first.")
            return self._of_places[kind](channel.guild, channel)
        if kind in self._closings:
            return await self._closings[kind]()
        return self._switches[kind]()

    def count_pending(self) -> Json:
        """Return how many requests each kind of REST fault still waits for."""
        found: dict[str, int] = {}
        for fault in self._faults.active:
            found[fault.kind] = found.get(fault.kind, 0) + fault.times_left
        return found

    # -- answers -------------------------------------------------------------------------------------

    def _rate_limit_requests(self) -> str:
        self._faults.rate_limit(times=3, retry_after_s=0.5)
        return "The next three requests are answered with 429."

    def _fail_requests(self) -> str:
        self._faults.fail(times=3)
        return "The next three requests are answered with 503."

    def _drop_answer(self) -> str:
        self._faults.drop_answer(times=1)
        return "The next request is performed, but not answered."

    def _clear_faults(self) -> str:
        self._faults.clear()
        return "Requests are answered without faults."

    # -- connection ----------------------------------------------------------------------------------

    async def _close(self, code: int, consequence: str) -> str:
        self._require_bot()
        await self._faults.close_gateway(code)
        return f"The bot's connection was closed with {code}: {consequence}."

    def _reconnect(self) -> str:
        self._require_bot()
        self._faults.reconnect()
        return "The bot was asked to reconnect."

    def _invalidate(self) -> str:
        self._require_bot()
        self._faults.invalidate_session()
        return "The bot's session has ended: the bot must identify again."

    def _require_bot(self) -> None:
        if not self._sandbox.gateway.is_connected:
            raise ActionRefusedError("No bot is connected.")

    # -- time and files ------------------------------------------------------------------------------

    def _advance_clock(self) -> str:
        self._sandbox.clock.advance(TOKEN_LIFE_S)
        return "It is 15 minutes later: earlier interactions can no longer be answered."

    def _lose_files(self) -> str:
        lost = self._faults.lose_files()
        return f"Files lost: {lost}. Their links answer 404 now." if lost else "There are no files to lose."

    # -- this place ----------------------------------------------------------------------------------

    def _toggle_writing(self, guild: Guild, channel: Channel) -> str:
        if not guild.has_bot:
            raise ActionRefusedError("The bot is not in this server.")
        if may_send(compute_bot_permissions(channel), is_thread=channel.is_thread):
            self._faults.take_permission(channel, _WRITING)
            return f"The bot may no longer write in {channel.name}."
        self._faults.give_permission(channel, _WRITING)
        return f"The bot may write in {channel.name} again."

    def _delete_channel(self, guild: Guild, channel: Channel) -> str:
        if not channel.is_thread and sum(not other.is_thread for other in guild.channels.values()) == 1:
            raise ActionRefusedError("This is the last channel of the server. A server needs one.")
        self._faults.delete_channel(channel)
        return f"The channel {channel.name} was deleted."

    def _toggle_membership(self, guild: Guild, channel: Channel) -> str:
        if guild.has_bot:
            self._faults.kick_bot(guild)
            return f"The bot was removed from {guild.name}."
        guild.add_bot()
        return f"The bot was invited back to {guild.name}."
