"""What every browser tab uses: the world, the journal, the fault switches and pending uploads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from discord_sandbox.command_options import ActionRefusedError
from discord_sandbox.fault_switches import FaultSwitches
from discord_sandbox.guilds import Channel, Guild
from discord_sandbox.load_generator import LoadGenerator
from discord_sandbox.message_content import Upload
from discord_sandbox.scripted_user import ScriptedUser
from discord_sandbox.users import User
from discord_sandbox.world import World


class TabContext:
    """What every tab uses; the page's server makes one."""

    def __init__(self, sandbox: Any) -> None:
        self.world: World = sandbox.world
        self.journal = sandbox.journal
        self.files = sandbox.files
        self.act_as: Callable[[User, Channel], ScriptedUser] = sandbox.act_as
        self._sandbox = sandbox
        self.load_generator: LoadGenerator = sandbox.load_generator
        self.fault_switches = FaultSwitches(sandbox)
        self._uploads: dict[str, Upload] = {}

    def is_connected(self) -> bool:
        return bool(self._sandbox.gateway.is_connected)

    def keep_upload(self, upload: Upload) -> str:
        """Hold a file until an action uses it, and return its key."""
        key = str(self.world.make_id())
        self._uploads[key] = upload
        return key

    def take_upload(self, key: str) -> Upload:
        """Return a file that is held. Raise ActionRefusedError for any other."""
        if key not in self._uploads:
            raise ActionRefusedError("That file was used or dropped. Choose it again.")
        return self._uploads.pop(key)

    def parse_value(self, value: Any, guild: Guild | None) -> Any:
        """`{"user": id}`, `{"role": id}`, `{"channel": id}`, `{"file": key}`, or a plain value."""
        if not isinstance(value, dict):
            return value
        ((kind, key),) = value.items()
        if kind == "file":
            return self.take_upload(key)
        if kind == "channel":
            return self.world.channels[int(key)]
        if kind == "role":
            return guild.roles[int(key)] if guild else None
        return self.world.users[int(key)]
