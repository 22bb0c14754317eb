"""Faults that are injected on request: rate limits, server errors, lost answers, a closing gateway, lost permissions.

Path patterns are shell patterns over the path below `/api/v10`, such as `/channels/*/messages`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from discord_sandbox.errors import DiscordError, InjectedError, InvalidFormBodyError
from discord_sandbox.file_store import FileStore
from discord_sandbox.gateway import Gateway
from discord_sandbox.gateway_faults import Refusal
from discord_sandbox.guilds import Channel, Guild
from discord_sandbox.interaction_payload import serialize_interaction
from discord_sandbox.interactions import Interaction
from discord_sandbox.refusals import REFUSALS
from discord_sandbox.world import World

Kind = Literal["rate_limit", "error", "refuse", "drop", "delay"]


@dataclass
class Fault:
    """One fault, for the next `times_left` requests that match."""

    kind: Kind
    method: str
    path: str
    times_left: int
    status: int = 0
    wait_s: float = 0.0
    is_global: bool = False
    is_performed: bool = False
    page: str | None = None
    refusal: DiscordError | None = None
    num_met: int = 0

    def matches(self, method: str, path: str) -> bool:
        fits = self.method in ("*", method) and fnmatchcase(path, self.path)
        return self.times_left > 0 and fits

    @property
    def label(self) -> str:
        """For the journal and the inspector."""
        names = {"rate_limit": "429", "drop": "answer dropped", "delay": "delayed"}
        return names.get(self.kind, str(self.refusal or self.status))


class Faults:
    """The switches. Each REST fault counts down and ends by itself; `clear` ends all of them."""

    def __init__(self, world: World, gateway: Gateway, files: FileStore) -> None:
        self._world = world
        self._files = files
        self._gateway = gateway
        self.active: list[Fault] = []

    # -- REST ----------------------------------------------------------------------------------------

    def rate_limit(
        self,
        path: str = "*",
        *,
        method: str = "*",
        times: int = 1,
        retry_after_s: float = 0.05,
        is_global: bool = False,
    ) -> Fault:
        """Answer the next `times` matching requests with 429, unperformed."""
        return self._add(Fault("rate_limit", method, path, times, 429, retry_after_s, is_global))

    def fail(
        self,
        path: str = "*",
        *,
        method: str = "*",
        times: int = 1,
        status: int = 503,
        performed: bool = False,
        page: str | None = None,
    ) -> Fault:
        """Answer the next `times` matching requests with a 5xx; `performed` does the work first.

        With `page` the body is that HTML (or JSON object), as of a proxy in between; `status` may be 200 then.
        """
        return self._add(Fault("error", method, path, times, status, is_performed=performed, page=page))

    def refuse(
        self,
        code: int,
        path: str = "*",
        *,
        method: str = "*",
        times: int = 1,
        status: int | None = None,
        where: str = "",
        retry_after_s: float = 0.01,
    ) -> Fault:
        """Refuse the next `times` matching requests, unperformed, with one of Discord's JSON error codes.

        `status`: another than the code usually comes with. `where`: the path of what is wrong in the body (50035).
        `retry_after_s`: for codes that come as 429.
        """
        usual, message = REFUSALS.get(code, (400, "Unknown"))
        refusal = InjectedError(status or usual, code, message)
        if where:
            refusal.errors = InvalidFormBodyError(where, "INVALID", "Refused on request").errors
        return self._add(Fault("refuse", method, path, times, refusal.status, retry_after_s, refusal=refusal))

    def drop_answer(self, path: str = "*", *, method: str = "*", times: int = 1, performed: bool = True) -> Fault:
        """Close the connection instead of answering, after the request was performed (or not)."""
        return self._add(Fault("drop", method, path, times, is_performed=performed))

    def delay(self, path: str = "*", *, method: str = "*", times: int = 1, wait_s: float) -> Fault:
        """Answer the next `times` matching requests `wait_s` seconds late."""
        return self._add(Fault("delay", method, path, times, wait_s=wait_s, is_performed=True))

    def clear(self) -> None:
        """End all REST faults, and what lies in wait for the gateway."""
        self.active.clear()
        self._gateway.faults.clear()

    def match_request(self, method: str, path: str) -> Fault | None:
        """Return the fault that this request meets, counted down, or None."""
        for fault in self.active:
            if fault.matches(method, path):
                fault.times_left -= 1
                fault.num_met += 1
                if not fault.times_left:
                    self.active.remove(fault)
                return fault
        return None

    def _add(self, fault: Fault) -> Fault:
        self.active.append(fault)
        return fault

    # -- gateway -------------------------------------------------------------------------------------

    async def close_gateway(self, code: int = 4000, *, shard: int | None = None) -> None:
        """Close the bot's websocket(s) with a close code; 4000 lets it resume."""
        await self._gateway.close_all(code, shard=shard)

    def reconnect(self) -> None:
        """Ask the bot to reconnect and resume (op 7)."""
        self._gateway.ask_to_reconnect()

    def invalidate_session(self, *, is_resumable: bool = False, shard: int | None = None) -> None:
        """Invalidate the bot's session, or that of one shard (op 9)."""
        self._gateway.invalidate(is_resumable=is_resumable, shard=shard)

    def start_outage(self, guild: Guild) -> None:
        """Make a guild unavailable until `end_outage`; the bot is still in it, and hears GUILD_DELETE with
        `unavailable`."""
        self._gateway.faults.outages.add(guild.id)
        self._gateway.dispatch("GUILD_DELETE", {"id": str(guild.id), "unavailable": True}, guild.id)

    def end_outage(self, guild: Guild) -> None:
        """Make a guild available again; the bot hears GUILD_CREATE."""
        self._gateway.faults.outages.discard(guild.id)
        create = self._gateway.build_guild_create
        self._gateway.dispatch("GUILD_CREATE", lambda session: create(guild, session), guild.id)

    def refuse_gateway(self, code: int, *, times: int = 1) -> Refusal:
        """Close the next `times` connections with a close code when they identify or resume."""
        return self._gateway.faults.refuse(code, times=times)

    def alter_event(self, name: str, change: Callable[[Any], Any], *, times: int = 1) -> None:
        """Send the next `times` payloads called `name` (an event, or `HELLO`) with the data that `change` makes."""
        self._gateway.faults.alter(name, change, times=times)

    def send_event(self, name: str, data: Any) -> None:
        """Send an event of any shape to every session, numbered; as every event it is replayed on RESUME."""
        self._gateway.send_to_all(name, data)

    def send_frame(self, frame: str | bytes, *, is_replayed: bool = False) -> None:
        """Send a frame as it is: `str` goes through the compression, `bytes` do not, which breaks it for good."""
        self._gateway.send_frame(frame, is_replayed=is_replayed)

    def send_again(self, interaction: Interaction) -> None:
        """Tell the bot of an interaction once more, as a gateway may that delivers at least once."""
        guild_id = interaction.guild.id if interaction.guild else None
        self._gateway.dispatch("INTERACTION_CREATE", serialize_interaction(interaction, self._files), guild_id)

    # -- rights and places ---------------------------------------------------------------------------

    def take_permission(self, channel: Channel, permission: int) -> None:
        """Deny the bot a permission in a channel and its threads; the bot hears CHANNEL_UPDATE."""
        channel = channel.parent or channel
        allow, deny = channel.overwrites.get(self._world.bot.id, (0, 0))
        channel.set_overwrite(self._world.bot, allow=allow & ~permission, deny=deny | permission)

    def give_permission(self, channel: Channel, permission: int) -> None:
        """Give a permission back, or grant it."""
        channel = channel.parent or channel
        allow, deny = channel.overwrites.get(self._world.bot.id, (0, 0))
        channel.set_overwrite(self._world.bot, allow=allow | permission, deny=deny & ~permission)

    def archive_thread(self, thread: Channel, *, is_locked: bool = False) -> None:
        """Archive a thread; the bot hears THREAD_UPDATE. One that is `is_locked` takes messages of moderators only."""
        thread.set_archived(True, is_locked=is_locked)

    def delete_channel(self, channel: Channel) -> None:
        """Delete a channel; the bot hears CHANNEL_DELETE, and writing there answers 10003."""
        channel.delete()

    def lose_files(self) -> int:
        """Forget every file uploaded so far, so that its link answers 404, and return how many."""
        lost = self._files.list_all()
        for attachment in lost:
            self._files.forget(attachment)
        self._world.publish("files_gone")
        return len(lost)

    def kick_bot(self, guild: Guild) -> None:
        """Remove the bot from a guild; it hears GUILD_DELETE."""
        guild.kick_bot()
