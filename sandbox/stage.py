"""What every browser tab works with: the world, the journal, uploads on their way, and the trouble switches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.actor import Actor
from sandbox.crowd import Crowd
from sandbox.message import Upload
from sandbox.options import Refused
from sandbox.people import User
from sandbox.permissions import Permission
from sandbox.places import Channel
from sandbox.world import World

_OF_A_PLACE = ("mute", "kick", "delete_channel")


class Stage:
    """What every tab works with; the page's server makes one."""

    def __init__(self, sandbox: Any) -> None:
        self.world: World = sandbox.world
        self.journal = sandbox.journal
        self.files = sandbox.files
        self.act_as: Callable[[User, Channel], Actor] = sandbox.act_as
        self._sandbox = sandbox
        self.crowd: Crowd = sandbox.crowd
        self._uploads: dict[str, Upload] = {}

    def is_connected(self) -> bool:
        return bool(self._sandbox.gateway.is_connected)

    def keep_upload(self, upload: Upload) -> str:
        """Hold a file until the act that uses it; the answer is its key."""
        key = str(self.world.new_id())
        self._uploads[key] = upload
        return key

    def take_upload(self, key: str) -> Upload:
        """Raises Refused for a file that is not held."""
        if key not in self._uploads:
            raise Refused("that file is gone; choose it again")
        return self._uploads.pop(key)

    async def make_trouble(self, kind: str, channel: Channel | None) -> None:
        """One press of a switch in the inspector. Raises Refused for what cannot be done here."""
        if kind in _OF_A_PLACE:
            self._trouble_place(kind, channel)
            return
        faults = self._sandbox.faults
        if kind == "rate_limit":
            faults.rate_limit(times=3, retry_after_s=1.0)
        elif kind == "error":
            faults.fail(times=3)
        elif kind == "drop":
            faults.drop_answer(times=1)
        elif kind == "gateway":
            await faults.close_gateway(4000)
        elif kind == "timed_out":
            await faults.close_gateway(4009)
        elif kind == "reconnect":
            faults.reconnect()
        elif kind == "invalidate":
            faults.invalidate_session()
        elif kind == "clock":
            self._sandbox.clock.advance(15 * 60)
        elif kind == "lose_files":
            faults.lose_files()
        elif kind == "clear":
            faults.clear()

    def _trouble_place(self, kind: str, channel: Channel | None) -> None:
        if channel is None or channel.guild is None:
            raise Refused("that takes a server's channel")
        guild, faults = channel.guild, self._sandbox.faults
        if kind == "mute":
            self._toggle_writing(channel)
        elif kind == "kick":
            (faults.kick_bot if guild.has_bot else self.world.add_bot)(guild)
        elif len([other for other in guild.channels.values() if not other.is_thread]) == 1 and not channel.is_thread:
            raise Refused("a server needs a channel")
        else:
            faults.delete_channel(channel)

    def _toggle_writing(self, channel: Channel) -> None:
        writing = Permission.SEND_MESSAGES | Permission.SEND_MESSAGES_IN_THREADS
        _, denied = channel.overwrites.get(self.world.bot.id, (0, 0))
        change = self._sandbox.faults.give_permission if denied & writing else self._sandbox.faults.take_permission
        change(channel, writing)
