"""Routes of the application and its registered commands."""

from __future__ import annotations

from typing import Any

from discord_sandbox.errors import InvalidFormBodyError, UnknownGuildError
from discord_sandbox.json_types import Json
from discord_sandbox.payloads import serialize_application
from discord_sandbox.rest.call import NOTHING, Call, RestResponse, Route

_GLOBAL = "/applications/{application_id}/commands"
_GUILD = "/applications/{application_id}/guilds/{guild_id}/commands"


def _find_scope(call: Call) -> int | None:
    if call.get_id("application_id") != call.services.world.application.id:
        raise InvalidFormBodyError("application_id", "APPLICATION_UNKNOWN", "Not this bot's application")
    if "guild_id" not in call.path:
        return None
    if call.get_id("guild_id") not in call.services.world.guilds:
        raise UnknownGuildError()
    return call.get_id("guild_id")


def _get_application(call: Call) -> RestResponse:
    return RestResponse(200, serialize_application(call.services.world))


def _list_commands(call: Call) -> RestResponse:
    """List the commands, with their names in other languages only if the query asks for them."""
    found = call.services.commands.list_of_scope(_find_scope(call))
    if call.query.get("with_localizations", "").lower() in ("true", "1"):
        return RestResponse(200, found)
    return RestResponse(200, [_drop_localizations(command) for command in found])


def _drop_localizations(value: Any) -> Any:
    if isinstance(value, list):
        return [_drop_localizations(each) for each in value]
    if isinstance(value, dict):
        return {key: _drop_localizations(each) for key, each in value.items() if not key.endswith("_localizations")}
    return value


def _replace_all(call: Call) -> RestResponse:
    requests: list[Json] = call.json or []
    if not isinstance(requests, list):
        raise InvalidFormBodyError("", "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
    return RestResponse(200, call.services.commands.replace_all(requests, _find_scope(call)))


def _create_command(call: Call) -> RestResponse:
    commands = call.services.commands
    before = commands.num_created
    command = commands.upsert(call.object, _find_scope(call))
    return RestResponse(201 if commands.num_created > before else 200, command)


def _get_command(call: Call) -> RestResponse:
    return RestResponse(200, call.services.commands.get(call.get_id("command_id"), _find_scope(call)))


def _edit_command(call: Call) -> RestResponse:
    return RestResponse(200, call.services.commands.change(call.get_id("command_id"), call.object, _find_scope(call)))


def _delete_command(call: Call) -> RestResponse:
    call.services.commands.delete(call.get_id("command_id"), _find_scope(call))
    return NOTHING


def _list_emojis(call: Call) -> RestResponse:
    return RestResponse(200, {"items": []})


def _list_entitlements(call: Call) -> RestResponse:
    return RestResponse(200, [])


def list_routes() -> list[Route]:
    found = [
        Route("GET", "/oauth2/applications/@me", _get_application),
        Route("GET", "/applications/@me", _get_application),
        Route("GET", "/applications/{application_id}/emojis", _list_emojis),
        Route("GET", "/applications/{application_id}/entitlements", _list_entitlements),
    ]
    for base in (_GLOBAL, _GUILD):
        one = base + "/{command_id}"
        found += [
            Route("GET", base, _list_commands),
            Route("PUT", base, _replace_all),
            Route("POST", base, _create_command),
            Route("GET", one, _get_command),
            Route("PATCH", one, _edit_command),
            Route("DELETE", one, _delete_command),
        ]
    return found
