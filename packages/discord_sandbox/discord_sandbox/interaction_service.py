"""Sends interactions to the bot and takes its answers, under Discord's time limits.

Source: https://discord.com/developers/docs/interactions/receiving-and-responding
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from discord_sandbox.command_rules import check_choice
from discord_sandbox.effective_permissions import compute_channel_permissions
from discord_sandbox.errors import (
    AlreadyAcknowledgedError,
    InvalidFormBodyError,
    InvalidWebhookTokenError,
    ThreadArchivedError,
    TooManyFollowUpsError,
    UnknownChannelError,
    UnknownInteractionError,
    UnknownMessageError,
    UnknownWebhookError,
)
from discord_sandbox.file_store import FileStore
from discord_sandbox.guilds import Channel, Member, Message
from discord_sandbox.interaction_payload import get_size_limit, serialize_interaction
from discord_sandbox.interactions import (
    AUTOCOMPLETE,
    CHOICES,
    COMMAND,
    COMPONENT,
    DEFER,
    DEFER_UPDATE,
    MODAL,
    MODAL_SUBMIT,
    RESPOND,
    TOKEN_LIFETIME_S,
    UPDATE,
    Acknowledgement,
    Interaction,
)
from discord_sandbox.json_types import Json
from discord_sandbox.message_content import (
    EPHEMERAL,
    TYPE_CHAT_INPUT_COMMAND,
    TYPE_CONTEXT_MENU_COMMAND,
    TYPE_DEFAULT,
    TYPE_REPLY,
)
from discord_sandbox.message_service import MessageBody, MessageService
from discord_sandbox.modals import check_modal
from discord_sandbox.permissions import Permission
from discord_sandbox.users import User
from discord_sandbox.world import World

Dispatch = Callable[[str, Json, int | None], bool]
USER_INSTALL_FOLLOWUPS = 5

_ALLOWED = {
    COMMAND: {RESPOND, DEFER, MODAL},
    COMPONENT: {RESPOND, DEFER, DEFER_UPDATE, UPDATE, MODAL},
    AUTOCOMPLETE: {CHOICES},
    MODAL_SUBMIT: {RESPOND, DEFER, DEFER_UPDATE, UPDATE},
}


class InteractionService:
    """All interactions, by id and by token."""

    def __init__(
        self, world: World, messages: MessageService, files: FileStore, dispatch: Dispatch, *, ack_deadline_s: float
    ) -> None:
        self._world = world
        self._messages = messages
        self._files = files
        self._dispatch = dispatch
        self._ack_deadline_s = ack_deadline_s
        self._by_id: dict[int, Interaction] = {}
        self._by_token: dict[str, Interaction] = {}

    # -- a person acts -------------------------------------------------------------------------------

    async def send(
        self,
        interaction_type: int,
        user: User,
        channel: Channel,
        data: Json,
        *,
        member: Member | None = None,
        command_name: str | None = None,
        source_message: Message | None = None,
        opened_by: Interaction | None = None,
        locale: str = "en-US",
    ) -> Interaction:
        """Tell the bot of an interaction, and return once it answered or its 3 s are over."""
        interaction = Interaction(
            id=self._world.make_id(),
            type=interaction_type,
            token=secrets.token_urlsafe(96),
            user=user,
            channel=channel,
            data=data,
            created_s=self._world.clock.now(),
            member=member,
            command_name=command_name,
            source_message=source_message,
            opened_by=opened_by,
            locale=locale,
            integration_owners=self._find_owners(user, channel),
        )
        self._by_id[interaction.id] = interaction
        self._by_token[interaction.token] = interaction
        await self._send_and_wait(interaction)
        return interaction

    async def _send_and_wait(self, interaction: Interaction) -> None:
        loop = asyncio.get_running_loop()
        guild_id = interaction.guild.id if interaction.guild else None
        payload = serialize_interaction(interaction, self._files)
        if (guild := interaction.channel.guild) is not None:
            guild.told_size_limit = max(guild.told_size_limit, get_size_limit(interaction.channel))
        interaction.sent_at_s = loop.time()
        deadline = loop.call_later(self._ack_deadline_s, self._fail, interaction)
        try:
            interaction.is_excused = not self._dispatch("INTERACTION_CREATE", payload, guild_id)
            await interaction.wait_until_answered()
        finally:
            deadline.cancel()

    def end_deadlines(self) -> None:
        """End the time for a first answer for every interaction that has none."""
        for interaction in self._by_id.values():
            self._fail(interaction)

    def _find_owners(self, user: User, channel: Channel) -> dict[str, str]:
        owners: dict[str, str] = {}
        if channel.has_bot:
            owners["0"] = str(channel.guild.id) if channel.guild else "0"
        if user.id in self._world.application.installed_by_users:
            owners["1"] = str(user.id)
        return owners

    def _fail(self, interaction: Interaction) -> None:
        if interaction.acknowledged is None:
            interaction.settle(None)
            self._world.publish("interaction_failed", channel=interaction.channel, user=interaction.user)

    # -- the bot answers -----------------------------------------------------------------------------

    def respond(self, interaction_id: int, token: str, body: MessageBody) -> Interaction:
        """Take the callback, which is the first and only acknowledgement of an interaction."""
        interaction = self._by_id.get(interaction_id)
        if interaction is None or interaction.token != token:
            raise UnknownInteractionError()
        if interaction.failed:
            raise UnknownInteractionError(is_fault=not interaction.is_excused)
        if interaction.acknowledged is not None:
            # A bot that never saw its first answer arrive is right to try again.
            raise AlreadyAcknowledgedError(is_fault=not interaction.is_excused)
        kind = int(body.json.get("type") or 0)
        has_message = interaction.source_message is not None
        updates = kind in (UPDATE, DEFER_UPDATE)
        if kind not in _ALLOWED[interaction.type] or (updates and not has_message):
            message = f"Response type {kind} does not fit an interaction of type {interaction.type}"
            raise InvalidFormBodyError("type", "BASE_TYPE_CHOICES", message)
        self._perform(interaction, kind, MessageBody(body.json.get("data") or {}, body.uploads))
        elapsed_ms = (asyncio.get_running_loop().time() - interaction.sent_at_s) * 1000
        interaction.settle(Acknowledgement(kind, elapsed_ms))
        self._world.publish("interaction_answered", channel=interaction.channel, user=interaction.user)
        return interaction

    def _perform(self, interaction: Interaction, kind: int, body: MessageBody) -> None:
        if kind == CHOICES:
            interaction.choices = _check_choices(body.json.get("choices") or [])
        elif kind == MODAL:
            check_modal(body.json)
            interaction.modal = body.json
        elif kind == DEFER:
            is_ephemeral = bool(int(body.json.get("flags") or 0) & EPHEMERAL)
            message = self._messages.build_placeholder(
                interaction.channel, _choose_message_type(interaction), is_ephemeral=is_ephemeral
            )
            self._post(message, interaction)
        elif kind == RESPOND:
            self._post(self._write(interaction, body, _choose_message_type(interaction)), interaction)
        else:
            interaction.response_message = interaction.source_message
            if kind == UPDATE:
                self._edit(interaction, interaction.source_message, body)

    def _write(self, interaction: Interaction, body: MessageBody, message_type: int) -> Message:
        return self._messages.create(
            interaction.channel,
            self._world.bot,
            body,
            message_type=message_type,
            reference=interaction.response_message or interaction.source_message,
            size_limit=get_size_limit(interaction.channel),
        )

    def _post(self, message: Message, interaction: Interaction) -> None:
        message.interaction = interaction
        if _is_forced_private(interaction):
            message.flags |= EPHEMERAL
        if message.type != TYPE_REPLY:
            message.reference = None
        if message.is_ephemeral:
            message.visible_to = interaction.user.id
        if interaction.acknowledged is None:
            interaction.response_message = message
        else:
            interaction.followups.append(message)
        self._messages.post(message)

    def excuse(self, interaction_id: str) -> None:
        """Record that an injected fault met an answer to this interaction; unknown ids are ignored."""
        interaction = self._by_id.get(int(interaction_id)) if interaction_id.isdecimal() else None
        if interaction is not None:
            interaction.is_excused = True

    # -- webhook calls with the interaction's token ---------------------------------------------------

    def by_token(self, application_id: int, token: str) -> Interaction:
        """Return a webhook call's interaction. Raise 10015; 50027 after 15 minutes; 10003 if the channel is gone."""
        if application_id != self._world.application.id:
            raise UnknownWebhookError()
        interaction = self._by_token.get(token)
        if interaction is None:
            raise InvalidWebhookTokenError()
        if self._world.clock.now() > interaction.created_s + TOKEN_LIFETIME_S:
            raise InvalidWebhookTokenError()
        if interaction.acknowledged is None:
            raise UnknownWebhookError()
        if interaction.channel.is_deleted:
            raise UnknownChannelError()
        return interaction

    def follow_up(self, interaction: Interaction, body: MessageBody) -> Message:
        """Write a follow-up message; the first one after a defer becomes the deferred response itself."""
        original = interaction.original_message
        if original is not None and original.is_loading:
            return self._edit(interaction, original, body)
        if interaction.is_only_user_installed and len(interaction.followups) >= USER_INSTALL_FOLLOWUPS:
            raise TooManyFollowUpsError()
        message_type = TYPE_REPLY if original is not None else TYPE_DEFAULT
        written = self._write(interaction, body, message_type)
        self._post(written, interaction)
        return written

    def find(self, interaction: Interaction, message_id: str) -> Message:
        """Return a message that the token may touch: `@original`, or one by its id. Raise 10008 if there is none."""
        if message_id == "@original":
            found = interaction.original_message
        else:
            mine = [*interaction.messages, interaction.source_message]
            found = next((m for m in mine if m is not None and str(m.id) == message_id), None)
        if found is None or found.is_deleted:
            raise UnknownMessageError()
        return found

    def edit(self, interaction: Interaction, message_id: str, body: MessageBody) -> Message:
        return self._edit(interaction, self.find(interaction, message_id), body)

    def delete(self, interaction: Interaction, message_id: str) -> None:
        self._messages.delete(self.find(interaction, message_id))

    def _edit(self, interaction: Interaction, message: Message | None, body: MessageBody) -> Message:
        assert message is not None
        if interaction.channel.is_archived:
            raise ThreadArchivedError()
        return self._messages.edit(message, body, size_limit=get_size_limit(interaction.channel))


def _is_forced_private(interaction: Interaction) -> bool:
    """Return whether only the invoker sees the answers of an app that is there for them alone."""
    if not interaction.is_only_user_installed or interaction.member is None:
        return False
    return not compute_channel_permissions(interaction.member, interaction.channel) & Permission.USE_EXTERNAL_APPS


def _choose_message_type(interaction: Interaction) -> int:
    if interaction.type == COMMAND:
        is_slash = interaction.data.get("type") == 1
        return TYPE_CHAT_INPUT_COMMAND if is_slash else TYPE_CONTEXT_MENU_COMMAND
    return TYPE_REPLY if interaction.source_message is not None else TYPE_DEFAULT


def _check_choices(choices: list[Json]) -> list[Json]:
    if len(choices) > 25:
        raise InvalidFormBodyError("data.choices", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
    for number, choice in enumerate(choices):
        value = choice.get("value")
        kind = 3 if isinstance(value, str) else 10
        check_choice(choice, kind, f"data.choices.{number}")
    return choices
