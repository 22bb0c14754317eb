"""Routes that answer interactions: the callback, and the webhook calls with the interaction's token."""

from __future__ import annotations

from discord_sandbox.interactions import RESPOND, UPDATE, Interaction
from discord_sandbox.json_types import Json
from discord_sandbox.message_payload import serialize_message
from discord_sandbox.rest.call import NOTHING, Call, RestResponse, Route

_HOOK = "/webhooks/{webhook_id}/{webhook_token}"


def _acknowledge(call: Call) -> RestResponse:
    interactions = call.services.interactions
    interaction = interactions.respond(call.get_id("interaction_id"), call.path["interaction_token"], call.body)
    if call.query.get("with_response") not in ("1", "true"):
        return NOTHING
    return RestResponse(200, _serialize_callback(call, interaction))


def _serialize_callback(call: Call, interaction: Interaction) -> Json:
    about: Json = {"id": str(interaction.id), "type": interaction.type}
    message = interaction.response_message
    if message is not None:
        about["response_message_id"] = str(message.id)
        about["response_message_loading"] = message.is_loading
        about["response_message_ephemeral"] = message.is_ephemeral
    about["channel_id"] = str(interaction.channel.id)
    if interaction.guild is not None:
        about["guild_id"] = str(interaction.guild.id)
    payload: Json = {"interaction": about}
    if message is not None and interaction.response_type in (RESPOND, UPDATE):
        shown = serialize_message(message, call.services.files.sign)
        payload["resource"] = {"type": interaction.response_type, "message": shown}
    return payload


def _find_interaction(call: Call) -> Interaction:
    return call.services.interactions.by_token(call.get_id("webhook_id"), call.path["webhook_token"])


def _follow_up(call: Call) -> RestResponse:
    return call.respond_with_message(call.services.interactions.follow_up(_find_interaction(call), call.body))


def _get_message_id(call: Call) -> str:
    return call.path.get("message_id", "@original")


def _get(call: Call) -> RestResponse:
    return call.respond_with_message(call.services.interactions.find(_find_interaction(call), _get_message_id(call)))


def _edit(call: Call) -> RestResponse:
    return call.respond_with_message(
        call.services.interactions.edit(_find_interaction(call), _get_message_id(call), call.body)
    )


def _delete(call: Call) -> RestResponse:
    call.services.interactions.delete(_find_interaction(call), _get_message_id(call))
    return NOTHING


def list_routes() -> list[Route]:
    callback = "/interactions/{interaction_id}/{interaction_token}/callback"
    found = [
        Route("POST", callback, _acknowledge, needs_token=False),
        Route("POST", _HOOK, _follow_up, needs_token=False),
    ]
    for tail in ("/messages/@original", "/messages/{message_id}"):
        found += [
            Route("GET", _HOOK + tail, _get, needs_token=False),
            Route("PATCH", _HOOK + tail, _edit, needs_token=False),
            Route("DELETE", _HOOK + tail, _delete, needs_token=False),
        ]
    return found
