"""Routes of the application: who am I, and which commands are registered."""

from __future__ import annotations

from typing import Any

from discord_sandbox.errors import InvalidFormBodyError, UnknownGuildError
from discord_sandbox.json_types import Json
from discord_sandbox.payloads import application_json
from discord_sandbox.rest.call import NOTHING, Call, RestResponse, Route

_GLOBAL = "/applications/{application_id}/commands"
_GUILD = "/applications/{application_id}/guilds/{guild_id}/commands"


def _scope(call: Call) -> int | None:
    if call.id("application_id") != call.services.world.application.id:
        raise InvalidFormBodyError("application_id", "APPLICATION_UNKNOWN", "Not this bot's application")
    if "guild_id" not in call.path:
        return None
    if call.id("guild_id") not in call.services.world.guilds:
        raise UnknownGuildError()
    return call.id("guild_id")


def _me(call: Call) -> RestResponse:
    return RestResponse(200, application_json(call.services.world))


def _list(call: Call) -> RestResponse:
    """What the commands are called in other languages is told only to those who ask for it."""
    found = call.services.commands.of_scope(_scope(call))
    if call.query.get("with_localizations", "").lower() in ("true", "1"):
        return RestResponse(200, found)
    return RestResponse(200, [_without_languages(command) for command in found])


def _without_languages(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_languages(each) for each in value]
    if isinstance(value, dict):
        return {key: _without_languages(each) for key, each in value.items() if not key.endswith("_localizations")}
    return value


def _replace_all(call: Call) -> RestResponse:
    requests: list[Json] = call.json or []
    if not isinstance(requests, list):
        raise InvalidFormBodyError("", "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
    return RestResponse(200, call.services.commands.replace_all(requests, _scope(call)))


def _create(call: Call) -> RestResponse:
    commands = call.services.commands
    before = commands.num_created
    command = commands.upsert(call.object, _scope(call))
    return RestResponse(201 if commands.num_created > before else 200, command)


def _get(call: Call) -> RestResponse:
    return RestResponse(200, call.services.commands.get(call.id("command_id"), _scope(call)))


def _change(call: Call) -> RestResponse:
    return RestResponse(200, call.services.commands.change(call.id("command_id"), call.object, _scope(call)))


def _delete(call: Call) -> RestResponse:
    call.services.commands.delete(call.id("command_id"), _scope(call))
    return NOTHING


def _no_emojis(call: Call) -> RestResponse:
    return RestResponse(200, {"items": []})


def _no_entitlements(call: Call) -> RestResponse:
    return RestResponse(200, [])


def routes() -> list[Route]:
    found = [
        Route("GET", "/oauth2/applications/@me", _me),
        Route("GET", "/applications/@me", _me),
        Route("GET", "/applications/{application_id}/emojis", _no_emojis),
        Route("GET", "/applications/{application_id}/entitlements", _no_entitlements),
    ]
    for base in (_GLOBAL, _GUILD):
        one = base + "/{command_id}"
        found += [
            Route("GET", base, _list),
            Route("PUT", base, _replace_all),
            Route("POST", base, _create),
            Route("GET", one, _get),
            Route("PATCH", one, _change),
            Route("DELETE", one, _delete),
        ]
    return found
