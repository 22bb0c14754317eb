"""Creates, edits and deletes messages from a request's body and files.

All four ways to write in REST (channel message, edit, interaction response, webhook) use it, so a rule
is checked in one place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from discord_sandbox.components import check_components, store_components
from discord_sandbox.embeds import check_embeds, store_embed
from discord_sandbox.errors import EmptyMessageError, InvalidFormBodyError, RequestTooLargeError
from discord_sandbox.file_store import FileStore, strip_signature
from discord_sandbox.guilds import Channel, Message
from discord_sandbox.json_types import Json
from discord_sandbox.message_content import (
    EPHEMERAL,
    HAS_SNAPSHOT,
    IS_COMPONENTS_V2,
    LOADING,
    SUPPRESS_EMBEDS,
    SUPPRESS_NOTIFICATIONS,
    TYPE_DEFAULT,
    Attachment,
    Upload,
)
from discord_sandbox.message_payload import serialize_snapshot
from discord_sandbox.users import User
from discord_sandbox.world import World

MAX_CONTENT = 2000
MAX_FILES = 10
MAX_REQUEST = 25 * 1024 * 1024
_SETTABLE = SUPPRESS_EMBEDS | SUPPRESS_NOTIFICATIONS | IS_COMPONENTS_V2


@dataclass(frozen=True)
class MessageBody:
    """What a bot sends to write or edit: the JSON part and the files by their `files[n]` number."""

    json: Json
    uploads: dict[int, Upload]


class MessageService:
    """Creates and edits messages under Discord's rules, and publishes what happened."""

    def __init__(self, world: World, files: FileStore) -> None:
        self._world = world
        self._files = files

    def create(
        self,
        channel: Channel,
        author: User,
        body: MessageBody,
        *,
        message_type: int = TYPE_DEFAULT,
        flags: int = 0,
        reference: Message | None = None,
        size_limit: int,
        with_embeds: bool = True,
    ) -> Message:
        """Return a new message, not yet published: the caller adds what only it knows, then calls `post`."""
        world = self._world
        message = Message(world.make_id(), channel, author, message_type, world.clock.timestamp(), reference=reference)
        message.flags = flags | (int(body.json.get("flags") or 0) & (_SETTABLE | EPHEMERAL))
        message.tts = bool(body.json.get("tts"))
        self._apply(message, body, size_limit=size_limit)
        if not with_embeds:
            message.embeds = []
        _refuse_empty(message)
        return message

    def forward(self, message: Message, channel: Channel, author: User) -> Message:
        """Return a new message that forwards another as it is now, not yet published."""
        world, snapshot = self._world, serialize_snapshot(message)
        forward = Message(world.make_id(), channel, author, TYPE_DEFAULT, world.clock.timestamp(), flags=HAS_SNAPSHOT)
        forward.forwarded, forward.snapshot = message, snapshot
        return forward

    def post(self, message: Message) -> Message:
        """Put a created message into its channel and publish it."""
        message.channel.keep(message)
        message.channel.typing_until.pop(message.author.id, None)
        self._publish("message_create", message)
        return message

    def build_placeholder(self, channel: Channel, message_type: int, *, is_ephemeral: bool) -> Message:
        """Return the "is thinking" message of a deferred response, not yet published."""
        world = self._world
        flags = LOADING | (EPHEMERAL if is_ephemeral else 0)
        return Message(world.make_id(), channel, world.bot, message_type, world.clock.timestamp(), flags=flags)

    def edit(self, message: Message, body: MessageBody, *, size_limit: int) -> Message:
        """Change what the body names, keep the rest. A deferred response stops "thinking"."""
        was_loading = message.is_loading
        before = (message.content, message.embeds, message.components, message.attachments, message.flags)
        try:
            self._set_flags(message, body.json)
            self._apply(message, body, size_limit=size_limit)
            _refuse_empty(message)
        except Exception:
            message.content, message.embeds, message.components, message.attachments, message.flags = before
            raise
        message.flags &= ~LOADING
        if not was_loading:
            message.edited_timestamp = self._world.clock.timestamp()
        message.revisions += 1
        self._publish("message_update", message)
        return message

    def delete(self, message: Message) -> None:
        message.channel.drop(message)
        self._publish("message_delete", message)

    def _publish(self, kind: str, message: Message) -> None:
        self._world.publish(kind, guild=message.channel.guild, channel=message.channel, message=message)

    def _set_flags(self, message: Message, body: Json) -> None:
        wanted = body.get("flags")
        if wanted is None:
            return
        if message.is_v2 and not wanted & IS_COMPONENTS_V2 and not message.is_loading:
            raise InvalidFormBodyError(
                "flags", "MESSAGE_CANNOT_REMOVE_COMPONENTS_V2_FLAG", "The v2 flag cannot be removed"
            )
        message.flags = message.flags & ~SUPPRESS_EMBEDS | wanted & (SUPPRESS_EMBEDS | IS_COMPONENTS_V2)

    def _apply(self, message: Message, body: MessageBody, *, size_limit: int) -> None:
        request = body.json
        check_body(
            request, body.uploads, is_v2=message.is_v2, size_limit=size_limit, told=_get_told_limit(message.channel)
        )
        old, new = message.attachments, self._store_attachments(message, body)
        message.attachments = old + new
        if "content" in request:
            message.content = request["content"] or ""
        if "allowed_mentions" in request:
            message.allowed_mentions = request["allowed_mentions"]
        if "embeds" in request:
            embeds = request["embeds"] or []
            message.embeds = [
                store_embed(embed, f"embeds.{number}", self._make_resolver(message, body.uploads))
                for number, embed in enumerate(embeds)
            ]
        if "components" in request:
            check_components(request["components"] or [], is_v2=message.is_v2)
            message.components = store_components(
                request["components"] or [], self._make_resolver(message, body.uploads, with_id=True)
            )
        message.attachments = self._select_kept(message, request, old) + new

    def _store_attachments(self, message: Message, body: MessageBody) -> list[Attachment]:
        described = {str(item.get("id")): item for item in body.json.get("attachments") or []}
        added = []
        for number, upload in sorted(body.uploads.items()):
            note = described.get(str(number), {})
            named = replace(
                upload,
                filename=note.get("filename") or upload.filename,
                description=note.get("description") or upload.description,
            )
            added.append(
                self._files.keep(named, self._world.make_id(), message.channel.id, is_ephemeral=message.is_ephemeral)
            )
        return added

    def _select_kept(self, message: Message, request: Json, old: list[Attachment]) -> list[Attachment]:
        """Return the old files that stay: those that PATCH lists, and those that an embed or a component shows."""
        if request.get("attachments") is None:
            return old
        listed = {str(item.get("id")) for item in request["attachments"]}
        shown = repr(message.embeds) + repr(message.components)
        return [item for item in old if str(item.id) in listed or item.url in shown]

    def _make_resolver(self, message: Message, uploads: dict[int, Upload], *, with_id: bool = False) -> Any:
        def resolve(url: str, where: str) -> Json:
            found = self._find(message, url)
            if found is None and url.startswith("attachment://"):
                raise InvalidFormBodyError(
                    where, "REFERENCED_ATTACHMENT_NOT_FOUND", f"No attachment {url!r} in the request"
                )
            media: Json = {"url": url, "proxy_url": url, "width": None, "height": None, "content_type": None}
            if found is not None:
                media |= {"url": found.url, "proxy_url": found.url, "content_type": found.content_type}
                media |= {"width": found.width, "height": found.height}
            if with_id:
                media["id"] = str(self._world.make_id())
                if found is not None:
                    media |= {"attachment_id": str(found.id), "name": found.filename, "size": found.size}
            return media

        return resolve

    def _find(self, message: Message, url: str) -> Attachment | None:
        name = url.removeprefix("attachment://")
        for attachment in reversed(message.attachments):
            if attachment.url == strip_signature(url) or (name != url and attachment.filename == name):
                return attachment
        return None


def _get_told_limit(channel: Channel) -> int:
    """Return the largest limit that the bot was told here: the limit of a guild falls when its boosts end."""
    return channel.guild.told_size_limit if channel.guild is not None else 0


def check_body(request: Json, uploads: dict[int, Upload], *, is_v2: bool, size_limit: int, told: int = 0) -> None:
    """Raise InvalidFormBodyError or 40005 at the first rule that a body breaks. `told`: no fault up to that size."""
    content = request.get("content")
    if content is not None and not isinstance(content, str):
        raise InvalidFormBodyError("content", "STRING_TYPE_CONVERT", "Could not interpret as string.")
    if content is not None and len(content) > MAX_CONTENT:
        raise InvalidFormBodyError("content", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_CONTENT} or fewer in length.")
    if is_v2:
        for key in ("content", "embeds", "poll", "sticker_ids"):
            if request.get(key):
                message = f"The '{key}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
                raise InvalidFormBodyError(key, "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", message)
    check_embeds(request.get("embeds") or [])
    _check_files(request, uploads, size_limit, told)
    _check_mentions(request.get("allowed_mentions") or {})


def _check_files(request: Json, uploads: dict[int, Upload], size_limit: int, told: int) -> None:
    if len(uploads) > MAX_FILES or len(request.get("attachments") or []) > MAX_FILES:
        raise InvalidFormBodyError("attachments", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_FILES} or fewer in length.")
    largest = max((len(upload.data) for upload in uploads.values()), default=0)
    if largest > size_limit:
        raise RequestTooLargeError(is_fault=largest > told)
    if sum(len(upload.data) for upload in uploads.values()) > MAX_REQUEST:
        raise RequestTooLargeError()


def _check_mentions(allowed: Json) -> None:
    parse = allowed.get("parse") or []
    for key in ("users", "roles"):
        listed = allowed.get(key) or []
        if listed and key in parse:
            message = f"parse:['{key}'] and {key}:[ids...] are mutually exclusive."
            raise InvalidFormBodyError("allowed_mentions", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", message)
        if len(listed) > 100:
            raise InvalidFormBodyError(
                f"allowed_mentions.{key}", "BASE_TYPE_MAX_LENGTH", "Must be 100 or fewer in length."
            )


def _refuse_empty(message: Message) -> None:
    if not (message.content or message.embeds or message.attachments or message.components):
        raise EmptyMessageError()
