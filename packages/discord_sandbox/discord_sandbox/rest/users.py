"""Routes of users: the bot itself, others, and opening direct messages."""

from __future__ import annotations

from discord_sandbox.errors import CannotMessageUserError, UnknownUserError
from discord_sandbox.payloads import serialize_bot_user, serialize_channel, serialize_user
from discord_sandbox.rest.call import Call, RestResponse, Route, parse_snowflake
from discord_sandbox.users import User


def _get_bot_user(call: Call) -> RestResponse:
    return RestResponse(200, serialize_bot_user(call.services.world.bot))


def _edit_bot_user(call: Call) -> RestResponse:
    bot = call.services.world.bot
    if call.object.get("username"):
        bot.username = call.object["username"]
        call.services.world.publish("user_update", user=bot)
    return RestResponse(200, serialize_bot_user(bot))


def _find(call: Call, user_id: int) -> User:
    user = call.services.world.users.get(user_id)
    if user is None:
        raise UnknownUserError()
    return user


def _get_user(call: Call) -> RestResponse:
    return RestResponse(200, serialize_user(_find(call, call.get_id("user_id"))))


def _open_dm(call: Call) -> RestResponse:
    user = _find(call, parse_snowflake(str(call.object.get("recipient_id")), "recipient_id"))
    if user.is_bot:
        raise CannotMessageUserError()
    return RestResponse(200, serialize_channel(call.services.world.open_direct_channel(user)))


def list_routes() -> list[Route]:
    return [
        Route("GET", "/users/@me", _get_bot_user),
        Route("PATCH", "/users/@me", _edit_bot_user),
        Route("GET", "/users/{user_id}", _get_user),
        Route("POST", "/users/@me/channels", _open_dm),
    ]
