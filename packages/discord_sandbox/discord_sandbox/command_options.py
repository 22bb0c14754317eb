"""The options of a slash command, checked as the client checks them and put in the form that Discord sends.

`ActionRefusedError` is raised for what the real client would not let a person send.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from discord_sandbox.command_rules import (
    ATTACHMENT,
    BOOLEAN,
    CHANNEL_OPTION,
    INTEGER,
    MENTIONABLE,
    NUMBER,
    ROLE_OPTION,
    STRING,
    USER_OPTION,
)
from discord_sandbox.file_store import FileStore
from discord_sandbox.guilds import Channel, Member
from discord_sandbox.interaction_payload import serialize_invoking_member
from discord_sandbox.json_types import Json
from discord_sandbox.message_content import Upload
from discord_sandbox.message_payload import serialize_attachment
from discord_sandbox.payloads import serialize_channel, serialize_role, serialize_user
from discord_sandbox.users import Role, User

TYPE_NAMES = {
    STRING: "text",
    INTEGER: "a whole number",
    BOOLEAN: "true or false",
    USER_OPTION: "a member",
    CHANNEL_OPTION: "a channel",
    ROLE_OPTION: "a role",
    MENTIONABLE: "a member or role",
    NUMBER: "a number",
    ATTACHMENT: "a file",
}


class ActionRefusedError(Exception):
    """Discord's client would not let this user do that; the message says why."""


@dataclass
class Resolved:
    """The objects that options, selects and modals refer to by id."""

    channel: Channel
    files: FileStore
    json: Json = field(default_factory=dict)

    def add(self, thing: Any) -> str:
        """Add a user, member, role, channel or file to what is resolved, and return its id."""
        if isinstance(thing, (Member, User)):
            return self._add_user(thing)
        if isinstance(thing, Role):
            return self._put("roles", thing.id, serialize_role(thing))
        if isinstance(thing, Channel):
            return self._put("channels", thing.id, serialize_channel(thing) | {"permissions": "0"})
        if isinstance(thing, (Upload, bytes)):
            return self._add_file(thing)
        raise ActionRefusedError(f"{thing!r} is not a member, role, channel or file.")

    def _add_user(self, person: Member | User) -> str:
        user = person.user if isinstance(person, Member) else person
        guild = self.channel.guild
        member = guild.members.get(user.id) if guild else None
        if member is not None:
            bare = serialize_invoking_member(member, self.channel)
            bare.pop("user")
            self._put("members", user.id, bare)
        return self._put("users", user.id, serialize_user(user))

    def _add_file(self, thing: Upload | bytes) -> str:
        upload = thing if isinstance(thing, Upload) else Upload("image.png", thing)
        world = self.channel.world
        kept = self.files.keep(upload, world.make_id(), self.channel.id, is_ephemeral=True)
        return self._put("attachments", kept.id, serialize_attachment(kept, self.files.sign))

    def _put(self, kind: str, key: int, value: Json) -> str:
        self.json.setdefault(kind, {})[str(key)] = value
        return str(key)


def fill_options(
    node: Json, given: dict[str, Any], resolved: Resolved, *, is_checked: bool, focused: str | None = None
) -> list[Json]:
    """Return the options of a command or subcommand with their values, in the command's order.

    `focused` names the option that is being completed: it may be half typed and others may be missing.
    Raise ActionRefusedError if `is_checked` and the client would not accept the values.
    """
    known = {option["name"]: option for option in node.get("options") or []}
    unknown = given.keys() - known.keys()
    if unknown and is_checked:
        raise ActionRefusedError(
            f"{node['name']} has no option {', '.join(sorted(unknown))}; it has {', '.join(known)}."
        )
    filled = []
    for name, option in known.items():
        if given.get(name) is None:
            if option.get("required") and is_checked and focused is None:
                raise ActionRefusedError(f"The option {name} is required.")
            continue
        filled.append(_fill(option, given[name], resolved, is_checked=is_checked, is_focused=name == focused))
    return filled


def _fill(option: Json, value: Any, resolved: Resolved, *, is_checked: bool, is_focused: bool) -> Json:
    kind = option["type"]
    filled: Json = {"name": option["name"], "type": kind}
    if is_focused:
        return filled | {"value": value, "focused": True}
    if kind in (STRING, INTEGER, NUMBER, BOOLEAN):
        chosen = _find_choice_value(option, value)
        if is_checked:
            check_value(option, chosen)
        return filled | {"value": chosen}
    if is_checked:
        _check_thing(option, value)
    return filled | {"value": resolved.add(value)}


def _find_choice_value(option: Json, value: Any) -> Any:
    """Return the value of the choice with that name: users pick choices by name, so tests may."""
    for choice in option.get("choices") or []:
        if value == choice["name"]:
            return choice["value"]
    return value


def check_value(option: Json, value: Any) -> None:
    """Raise ActionRefusedError unless a plain value fits its option's type, bounds and choices."""
    kind, name = option["type"], option["name"]
    types: dict[int, Any] = {STRING: (str,), INTEGER: (int,), NUMBER: (int, float), BOOLEAN: (bool,)}
    if not isinstance(value, types[kind]) or (isinstance(value, bool) and kind != BOOLEAN):
        raise ActionRefusedError(f"{name} must be {TYPE_NAMES[kind]}.")
    choices = option.get("choices")
    if choices and value not in [choice["value"] for choice in choices]:
        raise ActionRefusedError(f"{name} must be one of {', '.join(choice['name'] for choice in choices)}.")
    size: Any = len(value) if kind == STRING else value
    unit = "length" if kind == STRING else "value"
    suffix = " characters" if kind == STRING else ""
    low, high = option.get(f"min_{unit}"), option.get(f"max_{unit}")
    if kind == STRING and not value and (option.get("required") or low):
        raise ActionRefusedError(f"{name} must not be empty.")
    if low is not None and size < low:
        raise ActionRefusedError(f"{name} must be at least {low}{suffix}.")
    if high is None and kind == STRING:
        high = 6000
    if high is not None and size > high:
        raise ActionRefusedError(f"{name} must be at most {high}{suffix}.")


def _check_thing(option: Json, value: Any) -> None:
    wanted: dict[int, tuple[type, ...]] = {
        USER_OPTION: (Member, User),
        CHANNEL_OPTION: (Channel,),
        ROLE_OPTION: (Role,),
        MENTIONABLE: (Member, User, Role),
        ATTACHMENT: (Upload, bytes),
    }
    if not isinstance(value, wanted[option["type"]]):
        raise ActionRefusedError(f"{option['name']} must be {TYPE_NAMES[option['type']]}.")
    kinds = option.get("channel_types")
    if kinds and isinstance(value, Channel) and value.type not in kinds:
        raise ActionRefusedError(f"{option['name']} must be a channel of another type.")
