"""Routes of users: the bot itself, others, and opening direct messages."""

from __future__ import annotations

from discord_sandbox.errors import CannotMessageUserError, UnknownUserError
from discord_sandbox.payloads import channel_json, self_json, user_json
from discord_sandbox.rest.call import Call, RestResponse, Route, snowflake
from discord_sandbox.users import User


def _me(call: Call) -> RestResponse:
    return RestResponse(200, self_json(call.services.world.bot))


def _change_me(call: Call) -> RestResponse:
    bot = call.services.world.bot
    if call.object.get("username"):
        bot.username = call.object["username"]
        call.services.world.publish("user_update", user=bot)
    return RestResponse(200, self_json(bot))


def _find(call: Call, user_id: int) -> User:
    user = call.services.world.users.get(user_id)
    if user is None:
        raise UnknownUserError()
    return user


def _get_user(call: Call) -> RestResponse:
    return RestResponse(200, user_json(_find(call, call.id("user_id"))))


def _open_dm(call: Call) -> RestResponse:
    user = _find(call, snowflake(str(call.object.get("recipient_id")), "recipient_id"))
    if user.is_bot:
        raise CannotMessageUserError()
    return RestResponse(200, channel_json(call.services.world.direct_channel(user)))


def routes() -> list[Route]:
    return [
        Route("GET", "/users/@me", _me),
        Route("PATCH", "/users/@me", _change_me),
        Route("GET", "/users/{user_id}", _get_user),
        Route("POST", "/users/@me/channels", _open_dm),
    ]
