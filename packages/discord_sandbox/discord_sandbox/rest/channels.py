"""Routes of channels and of the messages in them."""

from __future__ import annotations

from discord_sandbox.errors import (
    CannotMessageUserError,
    CannotReplyError,
    InvalidFormBodyError,
    MissingPermissionsError,
    NonTextChannelError,
    NotMessageAuthorError,
    TagRequiredError,
    ThreadArchivedError,
    ThreadLockedError,
    UnknownMessageError,
)
from discord_sandbox.guilds import PUBLIC_THREAD, Channel, Message
from discord_sandbox.interaction_payload import compute_bot_permissions, get_size_limit
from discord_sandbox.message_content import TYPE_REPLY
from discord_sandbox.message_service import MessageBody
from discord_sandbox.payloads import serialize_channel
from discord_sandbox.permissions import Permission
from discord_sandbox.rest.access import find_channel, find_message, require, require_sending
from discord_sandbox.rest.call import NOTHING, Call, RestResponse, Route, parse_snowflake

_MESSAGES = "/channels/{channel_id}/messages"
_MESSAGE = _MESSAGES + "/{message_id}"
# Discord promises "a few minutes" for enforce_nonce.
NONCE_LIFETIME_S = 300.0
MAX_TAGS = 5


def _get_channel(call: Call) -> RestResponse:
    return RestResponse(200, serialize_channel(find_channel(call)))


def _edit_channel(call: Call) -> RestResponse:
    channel = find_channel(call)
    if not channel.is_thread:
        require(channel, Permission.MANAGE_CHANNELS)
    elif channel.is_locked or call.object.get("locked"):
        require(channel, Permission.MANAGE_THREADS)
    else:
        require_sending(channel)
    if "archived" in call.object:
        channel.set_archived(bool(call.object["archived"]))
    return RestResponse(200, serialize_channel(channel))


def _delete_channel(call: Call) -> RestResponse:
    channel = find_channel(call)
    require(channel, Permission.MANAGE_THREADS if channel.is_thread else Permission.MANAGE_CHANNELS)
    answer = RestResponse(200, serialize_channel(channel))
    channel.delete()
    return answer


def _list_messages(call: Call) -> RestResponse:
    channel = find_channel(call)
    if not compute_bot_permissions(channel) & Permission.READ_MESSAGE_HISTORY:
        return RestResponse(200, [])
    limit = int(call.query.get("limit", 50))
    if not 1 <= limit <= 100:
        raise InvalidFormBodyError("limit", "NUMBER_TYPE_MAX", "int value should be between 1 and 100.")
    chosen = _select_page([m for m in channel.messages if not m.is_ephemeral], call.query, limit)
    return RestResponse(200, [call.serialize(m) for m in reversed(chosen)])


def _select_page(messages: list[Message], query: dict[str, str], limit: int) -> list[Message]:
    """Return messages oldest first: the newest `limit`, those before an id, after it, or around it."""
    if "before" in query:
        return [m for m in messages if m.id < parse_snowflake(query["before"], "before")][-limit:]
    if "after" in query:
        return [m for m in messages if m.id > parse_snowflake(query["after"], "after")][:limit]
    if "around" in query:
        middle = parse_snowflake(query["around"], "around")
        older = [m for m in messages if m.id <= middle][-(limit // 2 + 1) :]
        return older + [m for m in messages if m.id > middle][: limit - len(older)]
    return messages[-limit:]


def _get_message(call: Call) -> RestResponse:
    channel = find_channel(call)
    require(channel, Permission.READ_MESSAGE_HISTORY)
    return call.respond_with_message(find_message(call, channel))


def _post_message(call: Call) -> RestResponse:
    channel = find_channel(call)
    if channel.is_forum:
        raise NonTextChannelError()
    require_sending(channel)
    if channel.is_locked and not compute_bot_permissions(channel) & Permission.MANAGE_THREADS:
        raise ThreadLockedError()
    if channel.recipient is not None and not channel.recipient.accepts_dms:
        raise CannotMessageUserError()
    earlier = _find_by_nonce(call, channel)
    if earlier is not None:
        return call.respond_with_message(earlier)
    bits = compute_bot_permissions(channel)
    if call.uploads and not bits & Permission.ATTACH_FILES:
        raise MissingPermissionsError()
    reference = _find_reference(call, channel)
    writer = call.services.messages
    message = writer.create(
        channel,
        call.services.world.bot,
        call.body,
        message_type=TYPE_REPLY if reference else 0,
        reference=reference,
        size_limit=get_size_limit(channel),
        # Without this right Discord does not refuse the message: it takes the embeds off.
        with_embeds=bool(bits & Permission.EMBED_LINKS),
    )
    message.nonce = call.object.get("nonce")
    if channel.is_archived:  # so does Discord: writing in a thread opens it
        channel.set_archived(False)
    return call.respond_with_message(writer.post(message))


def _find_by_nonce(call: Call, channel: Channel) -> Message | None:
    """Return the bot's message of the last minutes with the same nonce, if the request enforces it."""
    nonce = call.object.get("nonce")
    if nonce is not None and len(str(nonce)) > 25:
        raise InvalidFormBodyError("nonce", "NONCE_TYPE_TOO_LONG", "Nonce cannot be longer than 25 characters.")
    if nonce is None or not call.object.get("enforce_nonce"):
        return None
    world = call.services.world
    oldest = (int((world.clock.now() - NONCE_LIFETIME_S) * 1000) - 1_420_070_400_000) << 22
    for message in reversed(channel.messages_ever):
        if message.id < oldest:
            return None
        if message.author is world.bot and message.nonce == nonce:
            return message
    return None


def _find_reference(call: Call, channel: Channel) -> Message | None:
    reference = call.object.get("message_reference")
    if not reference:
        return None
    if not compute_bot_permissions(channel) & Permission.READ_MESSAGE_HISTORY:
        raise CannotReplyError()
    found = channel.get_message(int(reference["message_id"]))
    if found is None and reference.get("fail_if_not_exists", True):
        raise InvalidFormBodyError("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
    return found


def _edit_message(call: Call) -> RestResponse:
    channel = find_channel(call)
    message = find_message(call, channel)
    if message.author is not call.services.world.bot:
        raise NotMessageAuthorError()
    if channel.is_archived:
        raise ThreadArchivedError()
    return call.respond_with_message(
        call.services.messages.edit(message, call.body, size_limit=get_size_limit(channel))
    )


def _delete_message(call: Call) -> RestResponse:
    channel = find_channel(call)
    message = find_message(call, channel)
    if message.author is not call.services.world.bot:
        require(channel, Permission.MANAGE_MESSAGES)
    call.services.messages.delete(message)
    return NOTHING


def _delete_messages(call: Call) -> RestResponse:
    channel = find_channel(call)
    require(channel, Permission.MANAGE_MESSAGES)
    ids = call.object.get("messages") or []
    if not 2 <= len(ids) <= 100:
        raise InvalidFormBodyError("messages", "BASE_TYPE_BAD_LENGTH", "Must be between 2 and 100 in length.")
    for message_id in ids:
        message = channel.get_message(int(message_id))
        if message is not None:
            call.services.messages.delete(message)
    return NOTHING


def _start_typing(call: Call) -> RestResponse:
    channel = find_channel(call)
    require_sending(channel)
    world = call.services.world
    channel.typing_until[world.bot.id] = world.clock.now() + 10
    world.publish("typing", guild=channel.guild, channel=channel, user=world.bot)
    return NOTHING


def _react(call: Call, *, adds: bool) -> RestResponse:
    channel = find_channel(call)
    message = find_message(call, channel)
    bot_id = call.services.world.bot.id
    if adds:
        require(channel, Permission.ADD_REACTIONS)
        who = message.reactions.setdefault(call.path["emoji_name"], [])
        if bot_id not in who:
            who.append(bot_id)
    else:
        who = message.reactions.get(call.path["emoji_name"], [])
        if bot_id not in who:
            raise UnknownMessageError()
        who.remove(bot_id)
        if not who:
            del message.reactions[call.path["emoji_name"]]
    call.services.world.publish("reaction", guild=channel.guild, channel=channel, message=message)
    return NOTHING


def _pin(call: Call, *, pins: bool) -> RestResponse:
    channel = find_channel(call)
    require(channel, Permission.MANAGE_MESSAGES)
    message = find_message(call, channel)
    message.is_pinned = pins
    call.services.world.publish("message_update", guild=channel.guild, channel=channel, message=message)
    return NOTHING


def _start_thread(call: Call) -> RestResponse:
    channel = find_channel(call)
    if channel.is_forum:
        return _post_in_forum(call, channel)
    require(channel, Permission.CREATE_PUBLIC_THREADS)
    name = call.object.get("name") or ""
    if channel.guild is None or channel.is_thread or not 1 <= len(name) <= 100:
        raise InvalidFormBodyError("name", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
    return RestResponse(201, serialize_channel(channel.add_thread(name)))


def _post_in_forum(call: Call, forum: Channel) -> RestResponse:
    """Start a post: a thread whose first message has the same id."""
    require(forum, Permission.SEND_MESSAGES)
    body, name = call.object, call.object.get("name") or ""
    if not 1 <= len(name) <= 100:
        raise InvalidFormBodyError("name", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
    tags = [int(each) for each in body.get("applied_tags") or []]
    if not set(tags) <= set(forum.tags) or len(tags) > MAX_TAGS:
        raise InvalidFormBodyError("applied_tags", "BASE_TYPE_CHOICES", "A tag is not of this forum, or too many are.")
    if forum.requires_tag and not tags:
        raise TagRequiredError()
    bits = compute_bot_permissions(forum)
    if call.uploads and not bits & Permission.ATTACH_FILES:
        raise MissingPermissionsError()
    assert forum.guild is not None, "a forum is in a server"
    named = [(tag_id, forum.tags[tag_id]) for tag_id in tags]
    post = forum.guild.make_channel(name, PUBLIC_THREAD, parent=forum, owner=call.services.world.bot, tags=named)
    writer = call.services.messages
    content = MessageBody(body.get("message") or {}, call.uploads)
    limit, has_embeds = get_size_limit(forum), bool(bits & Permission.EMBED_LINKS)
    try:
        first = writer.create(post, call.services.world.bot, content, size_limit=limit, with_embeds=has_embeds)
    except Exception:
        post.delete()
        raise
    first.id = post.id
    writer.post(first)
    return RestResponse(201, serialize_channel(post) | {"message": call.serialize(first)})


def list_routes() -> list[Route]:
    reaction = _MESSAGE + "/reactions/{emoji_name}/@me"
    pins = "/channels/{channel_id}/pins/{message_id}"
    new_pins = "/channels/{channel_id}/messages/pins/{message_id}"
    return [
        Route("GET", "/channels/{channel_id}", _get_channel),
        Route("PATCH", "/channels/{channel_id}", _edit_channel),
        Route("DELETE", "/channels/{channel_id}", _delete_channel),
        Route("GET", _MESSAGES, _list_messages),
        Route("POST", _MESSAGES, _post_message),
        Route("POST", _MESSAGES + "/bulk-delete", _delete_messages),
        Route("GET", _MESSAGE, _get_message),
        Route("PATCH", _MESSAGE, _edit_message),
        Route("DELETE", _MESSAGE, _delete_message),
        Route("POST", "/channels/{channel_id}/typing", _start_typing),
        Route("POST", "/channels/{channel_id}/threads", _start_thread),
        Route("PUT", reaction, lambda call: _react(call, adds=True)),
        Route("DELETE", reaction, lambda call: _react(call, adds=False)),
        *[Route("PUT", path, lambda call: _pin(call, pins=True)) for path in (pins, new_pins)],
        *[Route("DELETE", path, lambda call: _pin(call, pins=False)) for path in (pins, new_pins)],
    ]
