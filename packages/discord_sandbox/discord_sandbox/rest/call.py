"""What a route handler takes and returns: a parsed request and a response."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from discord_sandbox.command_registry import CommandRegistry
from discord_sandbox.errors import InvalidFormBodyError
from discord_sandbox.file_store import FileStore
from discord_sandbox.gateway import Gateway
from discord_sandbox.guilds import Message
from discord_sandbox.intents import MESSAGE_CONTENT
from discord_sandbox.interaction_service import InteractionService
from discord_sandbox.json_types import Json
from discord_sandbox.message_content import Upload
from discord_sandbox.message_payload import hide_content, serialize_message
from discord_sandbox.message_service import MessageBody, MessageService
from discord_sandbox.world import World


@dataclass(frozen=True)
class Services:
    """The parts of this Discord that routes work on."""

    world: World
    files: FileStore
    messages: MessageService
    commands: CommandRegistry
    interactions: InteractionService
    gateway: Gateway


@dataclass
class Call:
    """One request: the path's parts, the query, the JSON body and the uploaded files."""

    services: Services
    path: dict[str, str]
    query: dict[str, str]
    json: Any = None
    uploads: dict[int, Upload] = field(default_factory=dict)

    def get_id(self, name: str) -> int:
        """Return a snowflake of the path. Raise InvalidFormBodyError if it is none."""
        return parse_snowflake(self.path[name], name)

    @property
    def object(self) -> Json:
        """The JSON body, which must be an object; an absent one is empty."""
        if self.json is None:
            return {}
        if not isinstance(self.json, dict):
            raise InvalidFormBodyError("", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        return self.json

    @property
    def body(self) -> MessageBody:
        return MessageBody(self.object, self.uploads)

    def respond_with_message(self, message: Message) -> RestResponse:
        return RestResponse(200, self.serialize(message))

    def serialize(self, message: Message) -> Json:
        """Return the message as this application may read it, by the privileged intents that it has."""
        world, data = self.services.world, serialize_message(message, self.services.files.sign)
        has_intent = world.application.privileged_intents & MESSAGE_CONTENT
        return data if has_intent else hide_content(data, message, world.bot)


@dataclass(frozen=True)
class RestResponse:
    """A status and a JSON body; None is an empty body."""

    status: int
    json: Any = None


NOTHING = RestResponse(204)
Handler = Callable[[Call], RestResponse]


@dataclass(frozen=True)
class Route:
    """A path as Discord's description writes it, and what answers it."""

    method: str
    template: str
    handler: Handler
    needs_token: bool = True


def parse_snowflake(text: str, name: str) -> int:
    """Return `text` as an id. Raise InvalidFormBodyError if it is none."""
    if not text.isdecimal():
        raise InvalidFormBodyError(name, "NUMBER_TYPE_COERCE", f'Value "{text}" is not snowflake.')
    return int(text)
