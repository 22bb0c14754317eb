"""A scripted user at the client: reads a channel, types commands, presses buttons, submits modals.

Every action returns once the bot has answered or its 3 s are over. What the real client would not let a user do
raises `ActionRefusedError`; `user.forging` skips those checks, for stale and forged payloads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from discord_sandbox.command_options import ActionRefusedError, Resolved, fill_options
from discord_sandbox.command_registry import CommandRegistry, find_path
from discord_sandbox.command_rules import GROUP, MESSAGE, SUBCOMMAND, USER
from discord_sandbox.components import BUTTON, SELECTS, STRING_SELECT
from discord_sandbox.effective_permissions import compute_channel_permissions
from discord_sandbox.file_store import FileStore
from discord_sandbox.guilds import Channel, Member, Message
from discord_sandbox.interaction_payload import get_context
from discord_sandbox.interaction_service import InteractionService
from discord_sandbox.interactions import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL_SUBMIT, Interaction
from discord_sandbox.json_types import Json
from discord_sandbox.message_content import Upload
from discord_sandbox.message_payload import serialize_message
from discord_sandbox.message_service import MessageBody, MessageService
from discord_sandbox.modal_answers import answer_modal
from discord_sandbox.permissions import DIRECT_MESSAGE, Permission, may_send
from discord_sandbox.users import User


@dataclass(frozen=True)
class ClientServices:
    """The services that a user's client uses."""

    commands: CommandRegistry
    interactions: InteractionService
    files: FileStore
    messages: MessageService


@dataclass(frozen=True, repr=False)
class ScriptedUser:
    """`user` looking at `channel`; `member` is who they are there, None in direct messages."""

    client: ClientServices
    user: User
    channel: Channel
    member: Member | None = None
    locale: str = "en-US"
    is_checked: bool = True

    def __repr__(self) -> str:
        return f"<Actor {self.user.username} in #{self.channel.name}>"

    @property
    def forging(self) -> ScriptedUser:
        """The same person with a client that sends anything."""
        return replace(self, is_checked=False)

    @property
    def permissions(self) -> int:
        """What this person may do here."""
        return compute_channel_permissions(self.member, self.channel) if self.member else int(DIRECT_MESSAGE)

    # -- looking -------------------------------------------------------------------------------------

    def can_see(self) -> bool:
        return bool(self.permissions & Permission.VIEW_CHANNEL)

    def list_visible_messages(self) -> list[Message]:
        """Return what this user sees: no deleted messages, no ephemeral ones of others, oldest first."""
        if not self.can_see():
            return []
        return [m for m in self.channel.messages if m.visible_to in (None, self.user.id)]

    def list_visible_commands(self) -> list[Json]:
        """Return the commands that the client offers here: contexts, permissions and age restriction applied."""
        guild = self.channel.guild
        known = self.client.commands.list_usable_in(guild.id if guild else None)
        return [command for command in known if self.explain_unavailable(command) is None]

    def explain_unavailable(self, command: Json) -> str | None:
        """Return why the client does not offer a command here; None if it does."""
        is_dm = self.channel.is_dm
        contexts = command.get("contexts")
        if contexts is not None and get_context(self.channel) not in contexts:
            return "it cannot be used here"
        if is_dm and contexts is None and not command.get("dm_permission", True):
            return "it cannot be used in direct messages"
        if command.get("nsfw") and not (self.channel.guild is None or self.channel.nsfw):
            return "it works only in age-restricted channels"
        if is_dm:
            return None
        if not self._is_installed(command):
            return "the bot is not in this server" if self.channel.guild else "the bot is not installed for you"
        if self.channel.guild is None:
            return None
        needed = command.get("default_member_permissions")
        if not self.permissions & Permission.USE_APPLICATION_COMMANDS:
            return "you may not use commands here"
        if needed is not None and not _has_permissions(self.permissions, int(needed)):
            return "you lack the permission for it"
        return None

    def _is_installed(self, command: Json) -> bool:
        """Return whether a command comes with the server, or with this person, who has the bot with them everywhere."""
        installs = command.get("integration_types") or [0]
        guild = self.channel.guild
        has_own = self.user.id in self.channel.world.application.installed_by_users
        return bool(guild and guild.has_bot and 0 in installs) or (has_own and 1 in installs)

    # -- acting --------------------------------------------------------------------------------------

    async def slash(self, command: str, /, **options: Any) -> Interaction:
        """Use a slash command; subcommands are written out (`"settings show"`).

        Files are `bytes` or `Upload`s, people `Member`s or `User`s, and so on.
        Raise ActionRefusedError where the client would.
        """
        data, name = self._build_command_data(command, options, focused=None)
        return await self._send(COMMAND, data, command_name=name)

    async def autocomplete(self, command: str, /, *, focused: str, value: str = "", **options: Any) -> list[Json]:
        """Return the choices (`name`, `value`) offered for the half-typed `value` of the option `focused`."""
        data, name = self._build_command_data(command, options | {focused: value}, focused=focused)
        answer = await self._send(AUTOCOMPLETE, data, command_name=name)
        return answer.choices or []

    async def context_menu(self, name: str, target: Message | Member | User) -> Interaction:
        """Use a context menu command ("Apps" in the menu) on a message or a person."""
        kind = MESSAGE if isinstance(target, Message) else USER
        commands = self.list_visible_commands() if self.is_checked else self._list_all_commands()
        found = next((c for c in commands if c["type"] == kind and c["name"] == name), None)
        if found is None:
            raise ActionRefusedError(f"There is no context menu command {name!r} here.")
        resolved = Resolved(self.channel, self.client.files)
        if isinstance(target, Message):
            resolved.json["messages"] = {str(target.id): serialize_message(target, self.client.files.sign)}
        else:
            resolved.add(target)
        data = _build_head(found) | {"target_id": str(target.id), "resolved": resolved.json}
        return await self._send(COMMAND, data, command_name=name)

    async def click(self, message: Message, custom_id_or_label: str) -> Interaction:
        """Press a button. Raise LookupError if there is none such, ActionRefusedError if it cannot be pressed."""
        button = self._find_component(message, custom_id_or_label)
        if self.is_checked and (button["type"] != BUTTON or "custom_id" not in button):
            raise ActionRefusedError(f"{custom_id_or_label!r} is not a button that sends an interaction.")
        data = {"component_type": BUTTON, "custom_id": button["custom_id"], "id": button.get("id", 0)}
        return await self._send(COMPONENT, data, source_message=message)

    async def select(self, message: Message, custom_id: str, values: list[Any]) -> Interaction:
        """Choose in a select menu: option values or labels, or members, roles and channels."""
        menu = self._find_component(message, custom_id)
        if menu["type"] not in SELECTS:
            raise ActionRefusedError(f"{custom_id!r} is not a select menu.")
        if self.is_checked and not menu.get("min_values", 1) <= len(values) <= menu.get("max_values", 1):
            raise ActionRefusedError(f"Choose {menu.get('min_values', 1)} to {menu.get('max_values', 1)} values.")
        resolved = Resolved(self.channel, self.client.files)
        if menu["type"] == STRING_SELECT:
            chosen = [self._find_option_value(menu, value) for value in values]
        else:
            chosen = [resolved.add(value) for value in values]
        data: Json = {"component_type": menu["type"], "custom_id": custom_id, "id": menu.get("id", 0)}
        data["values"] = chosen
        if resolved.json:
            data["resolved"] = resolved.json
        return await self._send(COMPONENT, data, source_message=message)

    async def submit_modal(self, opened_by: Interaction, values: dict[str, Any]) -> Interaction:
        """Send a modal's form: `values` by `custom_id`. What is left out keeps its default."""
        if opened_by.modal is None:
            raise ActionRefusedError("That interaction did not open a modal.")
        resolved = Resolved(self.channel, self.client.files)
        components = answer_modal(opened_by.modal, values, resolved, is_checked=self.is_checked)
        data: Json = {"custom_id": opened_by.modal["custom_id"], "components": components}
        if resolved.json:
            data["resolved"] = resolved.json
        source = opened_by.source_message
        return await self._send(MODAL_SUBMIT, data, source_message=source, opened_by=opened_by)

    def say(self, content: str, *, files: list[Upload] | None = None, reply_to: Message | None = None) -> Message:
        """Write a message as a person does. Raise ActionRefusedError if the user may not write."""
        if self.is_checked and not may_send(self.permissions, is_thread=self.channel.is_thread):
            raise ActionRefusedError("You do not have permission to send messages in this channel.")
        body = MessageBody({"content": content}, dict(enumerate(files or [])))
        message = self.client.messages.create(
            self.channel,
            self.user,
            body,
            message_type=19 if reply_to else 0,
            reference=reply_to,
            size_limit=25 << 20,
        )
        return self.client.messages.post(message)

    def forward(self, message: Message) -> Message:
        """Forward a message into this channel. Raises ActionRefusedError where one may not write."""
        if self.is_checked and not may_send(self.permissions, is_thread=self.channel.is_thread):
            raise ActionRefusedError("You do not have permission to send messages in this channel.")
        return self.client.messages.post(self.client.messages.forward(message, self.channel, self.user))

    def dismiss(self, message: Message) -> None:
        """Hide an ephemeral message, as its "Dismiss message" does; the bot is not told."""
        if message.visible_to != self.user.id:
            raise ActionRefusedError("You can dismiss only your own ephemeral messages.")
        message.visible_to = 0
        self.channel.world.publish("message_dismiss", channel=self.channel, message=message, user=self.user)

    # -- how -----------------------------------------------------------------------------------------

    async def _send(self, interaction_type: int, data: Json, **more: Any) -> Interaction:
        return await self.client.interactions.send(
            interaction_type, self.user, self.channel, data, member=self.member, locale=self.locale, **more
        )

    def _list_all_commands(self) -> list[Json]:
        guild = self.channel.guild
        return self.client.commands.list_usable_in(guild.id if guild else None)

    def _build_command_data(self, path: str, given: dict[str, Any], *, focused: str | None) -> tuple[Json, str]:
        found = find_path(self._list_all_commands(), path)
        if found is None:
            known = ", ".join("/" + c["name"] for c in self._list_all_commands() if c["type"] == 1)
            raise ActionRefusedError(f"There is no command /{path} here. The commands are: {known or 'none'}.")
        command, node = found
        reason = self.explain_unavailable(command) if self.is_checked else None
        if reason is not None:
            raise ActionRefusedError(f"You cannot use /{path}: {reason}.")
        resolved = Resolved(self.channel, self.client.files)
        options = fill_options(node, given, resolved, is_checked=self.is_checked, focused=focused)
        data = _build_head(command)
        if wrapped := _nest(command, path.split()[1:], options):
            data["options"] = wrapped
        if resolved.json:
            data["resolved"] = resolved.json
        return data, path

    def _find_component(self, message: Message, name: str) -> Json:
        if self.is_checked and (message.is_deleted or message not in self.list_visible_messages()):
            raise ActionRefusedError("You cannot see that message.")
        try:
            component = message.component(name)
        except LookupError:
            if self.is_checked:
                raise
            return {"type": BUTTON, "custom_id": name}
        if self.is_checked and component.get("disabled"):
            raise ActionRefusedError(f"{name!r} is disabled.")
        return component

    def _find_option_value(self, menu: Json, value: Any) -> str:
        for option in menu["options"]:
            if value in (option["value"], option["label"]):
                return str(option["value"])
        if self.is_checked:
            raise ActionRefusedError(f"{value!r} is not one of {[option['label'] for option in menu['options']]}.")
        return str(value)


def _has_permissions(bits: int, needed: int) -> bool:
    # A command with no permission at all named (0) is for administrators only.
    return bits & needed == needed if needed else bool(bits & Permission.ADMINISTRATOR)


def _build_head(command: Json) -> Json:
    head = {"id": command["id"], "name": command["name"], "type": command["type"]}
    return head | {"guild_id": command["guild_id"]} if "guild_id" in command else head


def _nest(command: Json, names: list[str], options: list[Json]) -> list[Json]:
    """Return the options wrapped into their subcommand and group."""
    if not names:
        return options
    level = command
    kinds = []
    for name in names:
        level = next(o for o in level["options"] if o["name"] == name and o["type"] in (SUBCOMMAND, GROUP))
        kinds.append((name, level["type"]))
    for name, kind in reversed(kinds):
        options = [{"name": name, "type": kind, "options": options}]
    return options
