"""The registered commands of the application, global and by guild."""

from __future__ import annotations

from collections.abc import Iterable

from discord_sandbox.command_rules import CHAT_INPUT, GROUP, LIMITS, SUBCOMMAND, check_command, check_command_set
from discord_sandbox.errors import InvalidFormBodyError, TooManyCommandsError, UnknownCommandError
from discord_sandbox.json_types import Json
from discord_sandbox.world import World

_KEPT = (
    "name_localizations",
    "description_localizations",
    "default_member_permissions",
    "dm_permission",
    "contexts",
    "integration_types",
    "nsfw",
    "options",
)


class CommandRegistry:
    """Registered commands by scope: `None` is global, otherwise a guild's id."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._scopes: dict[int | None, dict[int, Json]] = {None: {}}
        self.num_created = 0

    def replace_all(self, requests: list[Json], guild_id: int | None) -> list[Json]:
        """Register these commands and no others. A command that keeps name and type keeps its id."""
        for number, request in enumerate(requests):
            check_command(request, str(number))
        check_command_set(requests)
        old = {(c["type"], c["name"]): c for c in self.list_of_scope(guild_id)}
        kept = [self._build_command(r, guild_id, old.get((r.get("type") or CHAT_INPUT, r["name"]))) for r in requests]
        self._scopes[guild_id] = {int(command["id"]): command for command in kept}
        self._world.publish("commands")
        return kept

    def upsert(self, request: Json, guild_id: int | None) -> Json:
        """Add a command, or overwrite the one of the same name and type."""
        check_command(request, "")
        kind = request.get("type") or CHAT_INPUT
        same = [c for c in self.list_of_scope(guild_id) if c["type"] == kind]
        old = next((c for c in same if c["name"] == request["name"]), None)
        if old is None and len(same) >= LIMITS[kind]:
            raise TooManyCommandsError(LIMITS[kind])
        return self._keep(self._build_command(request, guild_id, old), guild_id)

    def change(self, command_id: int, request: Json, guild_id: int | None) -> Json:
        """Change one command. Raise 10063 for an unknown one."""
        old = self.get(command_id, guild_id)
        merged = old | request
        check_command(merged, "")
        others = [c for c in self.list_of_scope(guild_id) if c is not old]
        if any((c["type"], c["name"]) == (merged["type"], merged["name"]) for c in others):
            message = "Application command names must be unique"
            raise InvalidFormBodyError("name", "APPLICATION_COMMANDS_DUPLICATE_NAME", message)
        return self._keep(self._build_command(merged, guild_id, old), guild_id)

    def delete(self, command_id: int, guild_id: int | None) -> None:
        self.get(command_id, guild_id)
        del self._scopes[guild_id][command_id]
        self._world.publish("commands")

    def get(self, command_id: int, guild_id: int | None) -> Json:
        """Return a command. Raise 10063 for an unknown one."""
        try:
            return self._scopes.get(guild_id, {})[command_id]
        except KeyError:
            raise UnknownCommandError() from None

    def list_of_scope(self, guild_id: int | None) -> list[Json]:
        return list(self._scopes.get(guild_id, {}).values())

    def list_usable_in(self, guild_id: int | None) -> list[Json]:
        """Return global commands and the guild's own; the guild's hides a global one of the same name."""
        own = self.list_of_scope(guild_id) if guild_id is not None else []
        taken = {(c["type"], c["name"]) for c in own}
        return own + [c for c in self.list_of_scope(None) if (c["type"], c["name"]) not in taken]

    def _keep(self, command: Json, guild_id: int | None) -> Json:
        self._scopes.setdefault(guild_id, {})[int(command["id"])] = command
        self._world.publish("commands")
        return command

    def _build_command(self, request: Json, guild_id: int | None, old: Json | None) -> Json:
        self.num_created += old is None
        command: Json = {
            "id": old["id"] if old else str(self._world.make_id()),
            "application_id": str(self._world.application.id),
            "type": request.get("type") or CHAT_INPUT,
            "name": request["name"],
            "description": request.get("description") or "",
            "default_member_permissions": None,
            "nsfw": False,
            "integration_types": [0],
        }
        command |= {key: request[key] for key in _KEPT if request.get(key) is not None}
        if command["default_member_permissions"] is not None:
            command["default_member_permissions"] = str(command["default_member_permissions"])
        if guild_id is None:
            command.setdefault("dm_permission", True)
            command.setdefault("contexts", None)
        else:
            command["guild_id"] = str(guild_id)
        same = old is not None and all(old.get(key) == command.get(key) for key in (*_KEPT, "description"))
        command["version"] = old["version"] if same and old else str(self._world.make_id())
        return command


def flatten(command: Json) -> list[tuple[str, Json]]:
    """Return every path that can be typed (`"settings show"`), with the node that holds its options."""
    children = [o for o in command.get("options") or [] if o["type"] in (SUBCOMMAND, GROUP)]
    if not children:
        return [(command["name"], command)]
    return [(f"{command['name']} {path}", node) for child in children for path, node in flatten(child)]


def find_path(commands: Iterable[Json], path: str) -> tuple[Json, Json] | None:
    """Return the command and the node behind a typed path, or None."""
    for command in commands:
        if command["type"] == CHAT_INPUT:
            for known, node in flatten(command):
                if known == path:
                    return command, node
    return None
