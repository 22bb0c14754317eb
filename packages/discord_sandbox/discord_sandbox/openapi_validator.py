"""Validates every request and answer against Discord's OpenAPI description.

The description is a file that the user provides (`DISCORD_OPENAPI` names it); without it nothing is validated
and `OpenApiValidator.num_validated` stays 0. Calls are validated later, in `validate_pending`.
Four leniencies: snowflakes may be integers in requests, a message may be a forward, the keys in `_UNDESCRIBED` that
Discord documents elsewhere or ignores, and the inner codes of errors, which are words in Discord's documentation and
answers.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterator
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from discord_sandbox.journal import Journal, RestCall, Violation
from discord_sandbox.json_types import Json

_URN = "urn:discord"

_KINDS = "x-kinds"

# Keys that bots send and Discord takes although its description does not name them there.
_UNDESCRIBED = {
    "RichEmbed": ("flags",),
    "ApplicationCommandUpdateRequest": ("nsfw",),
    "MessageEditRequestPartial": ("tts",),
    "BaseCreateMessageCreateRequest": ("tts",),
    "CreateForumThreadRequest": ("type",),
    "IncomingWebhookUpdateRequestPartial": ("tts",),
    "IncomingWebhookUpdateForInteractionCallbackRequestPartial": ("tts",),
}


class OpenApiDescription:
    """The description; its validators are compiled when first needed.

    jsonschema-rs says whether a body is valid, jsonschema what is wrong with one that is not: it takes 100 times as
    long, and its errors name the branch of a union.
    """

    def __init__(self, spec: Json) -> None:
        import jsonschema_rs
        from referencing import Registry, Resource
        from referencing.jsonschema import DRAFT202012

        _let_inner_codes_be_words(spec["components"]["schemas"])
        _let_messages_be_forwarded(spec["components"]["schemas"])
        strict = deepcopy(spec)
        _close(strict["components"]["schemas"])
        _let_snowflakes_be_integers(strict["components"]["schemas"])
        for each in (spec, strict):
            _list_kinds(each)
        self.spec = spec
        self._validators: dict[tuple[str, ...], Any] = {}
        self._checkers: dict[tuple[str, ...], Any] = {}
        resources = {"response": spec, "request": strict}
        self._quick_registry = jsonschema_rs.Registry(
            [(f"{_URN}:{side}", contents) for side, contents in resources.items()], draft=jsonschema_rs.Draft202012
        )
        self._registry: Any = Registry().with_resources(
            (f"{_URN}:{side}", Resource.from_contents(contents, default_specification=DRAFT202012))
            for side, contents in resources.items()
        )

    def get_part(self, pointer: tuple[str, ...]) -> Json:
        """Return the part of the description that a path of keys leads to."""
        node: Any = self.spec
        for key in pointer:
            node = node[key]
        found: Json = node
        return found

    def is_valid(self, side: str, pointer: tuple[str, ...], body: Any) -> bool:
        """Return whether a body fits the schema at a path of keys, which is strict for the "request" side."""
        key = (side, *pointer)
        if key not in self._checkers:
            from jsonschema_rs import Draft202012Validator

            self._checkers[key] = Draft202012Validator(_refer(side, pointer), registry=self._quick_registry)
        found: bool = self._checkers[key].is_valid(body)
        return found

    def get_validator(self, side: str, pointer: tuple[str, ...]) -> Any:
        """Return a validator for the same schema, which tells what is wrong."""
        key = (side, *pointer)
        if key not in self._validators:
            self._validators[key] = _get_validator_class()(_refer(side, pointer), registry=self._registry)
        return self._validators[key]


def _refer(side: str, pointer: tuple[str, ...]) -> Json:
    escaped = "/".join(part.replace("~", "~0").replace("/", "~1") for part in pointer)
    return {"$ref": f"{_URN}:{side}#/{quote(escaped)}"}


@lru_cache(maxsize=2)
def _load(path: Path) -> OpenApiDescription:
    # A suite makes hundreds of sandboxes: read the megabyte and compile its schemas once.
    return OpenApiDescription(json.loads(path.read_text(encoding="utf-8")))


@lru_cache(maxsize=1)
def _get_validator_class() -> Any:
    """Return jsonschema's validator, which looks only at those parts of a union that take the value's `type`."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    validate_union = Draft202012Validator.VALIDATORS["oneOf"]

    def validate_one_of(validator: Any, parts: list[Json], value: Any, schema: Json) -> Iterator[Any]:
        if _KINDS in schema and isinstance(value, dict) and "type" in value:
            fitting = [part for part, kinds in zip(parts, schema[_KINDS], strict=True) if value["type"] in kinds]
            parts = fitting or parts
        yield from validate_union(validator, parts, value, schema)

    return extend(Draft202012Validator, {"oneOf": validate_one_of})


class OpenApiValidator:
    """Validates recorded calls against the description; violations go to the journal."""

    def __init__(self, journal: Journal, description: Path | None) -> None:
        self._journal = journal
        self._pending: deque[RestCall] = deque()
        self._description = _load(description) if description else None
        self.num_validated = 0

    @property
    def is_present(self) -> bool:
        """Whether there is a description to validate against."""
        return self._description is not None

    def add(self, call: RestCall) -> None:
        """Keep a finished call to be validated later. An injected fault is not Discord's answer: it is left out."""
        if self.is_present and call.fault in (None, "delayed", "answer dropped"):
            self._pending.append(call)

    def validate_pending(self) -> None:
        """Validate all calls that wait."""
        while self._pending:
            self._validate(self._pending.popleft())

    async def validate_all(self) -> None:
        """Validate all calls that wait, letting other tasks run in between."""
        while self._pending:
            self._validate(self._pending.popleft())
            await asyncio.sleep(0)

    def _validate(self, call: RestCall) -> None:
        operation = self._find_operation(call)
        if operation is None:
            return
        if call.request is not None and call.status < 400:
            self._check(call, "request", call.request, self._find_request_schema(call, operation))
        if call.response is not None:
            self._check(call, "response", call.response, self._find_response_schema(call, operation))

    def _find_operation(self, call: RestCall) -> Json | None:
        assert self._description is not None
        path = self._description.spec["paths"].get(call.template)
        operation = path.get(call.method.lower()) if path else None
        if operation is None and call.status < 400:
            self._blame(call, "request", "Discord's description knows no such route")
        return operation

    def _find_request_schema(self, call: RestCall, operation: Json) -> tuple[str, ...] | None:
        if "application/json" not in operation.get("requestBody", {}).get("content", {}):
            self._blame(call, "request", "this route takes no JSON body")
            return None
        head = ("paths", call.template, call.method.lower())
        return (*head, "requestBody", "content", "application/json", "schema")

    def _find_response_schema(self, call: RestCall, operation: Json) -> tuple[str, ...] | None:
        status = str(call.status)
        for key in (status, f"{status[0]}XX"):
            response = operation["responses"].get(key)
            if response is None:
                continue
            head: tuple[str, ...] = ("paths", call.template, call.method.lower(), "responses", key)
            assert self._description is not None
            if "$ref" in response:
                head = tuple(response["$ref"].removeprefix("#/").split("/"))
                response = self._description.get_part(head)
            if "application/json" in response.get("content", {}):
                return (*head, "content", "application/json", "schema")
        self._blame(call, "response", f"status {status} with a JSON body is not described")
        return None

    def _check(self, call: RestCall, side: str, body: Any, pointer: tuple[str, ...] | None) -> None:
        if pointer is None:
            return
        assert self._description is not None
        self.num_validated += 1
        if self._description.is_valid(side, pointer, body):
            return
        for error in self._description.get_validator(side, pointer).iter_errors(body):
            worst = _find_deepest(error)
            where = ".".join(str(part) for part in worst.absolute_path)
            self._blame(call, side, f"{where or 'body'}: {worst.message[:300]}")

    def _blame(self, call: RestCall, side: str, detail: str) -> None:
        self._journal.blame(Violation("openapi", side, call.where, detail), call)


def _close(schemas: Json) -> None:
    """Refuse keys that the description does not name: typos become violations."""
    joined = {id(part) for schema in _walk_objects(schemas) for part in schema.get("allOf", [])}
    for schema in _walk_objects(schemas):
        if "properties" in schema and "additionalProperties" not in schema and id(schema) not in joined:
            schema["additionalProperties"] = False
    for name, keys in _UNDESCRIBED.items():
        schemas[name]["properties"] |= dict.fromkeys(keys, True)


def _walk_objects(node: Any) -> Iterator[Json]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _walk_objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from _walk_objects(value)


def _list_kinds(spec: Json) -> None:
    """Write into each union of objects which `type` each of them has: all others need not be validated, 9 of 10."""
    schemas = spec["components"]["schemas"]
    for schema in _walk_objects(spec):
        names = [part.get("$ref", "").rpartition("/")[2] for part in schema.get("oneOf", ())]
        types = [schemas.get(name, {}).get("properties", {}).get("type", {}) for name in names]
        if names and all("enum" in each for each in types):
            schema[_KINDS] = [each["enum"] for each in types]
        elif names and all(part.keys() <= {"title", "description", "const"} for part in schema["oneOf"]):
            schema["enum"] = [part["const"] for part in schema.pop("oneOf")]


def _let_snowflakes_be_integers(schemas: Json) -> None:
    schemas["SnowflakeType"] = {"anyOf": [schemas["SnowflakeType"], {"type": "integer", "minimum": 0}]}


def _let_messages_be_forwarded(schemas: Json) -> None:
    """Let a message reference be a forward: the description knows only replies (0)."""
    kinds = schemas.get("MessageReferenceType", {}).get("oneOf", [])
    if kinds and not any(kind.get("const") == 1 for kind in kinds):
        kinds.append({"title": "FORWARD", "const": 1})


def _let_inner_codes_be_words(schemas: Json) -> None:
    inner = deepcopy(schemas["Error"])
    inner["properties"]["code"] = {"type": ["integer", "string"]}
    schemas["InnerErrors"]["properties"]["_errors"]["items"] = inner


def _find_deepest(error: Any) -> Any:
    """Return the most telling cause below a failed union: the branch whose `type` fits, and in it the deepest."""
    while error.context:
        wrong_kind = {
            cause.schema_path[0]
            for cause in error.context
            if list(cause.relative_path) == ["type"] and cause.validator in ("enum", "const")
        }
        fitting = [cause for cause in error.context if cause.schema_path[0] not in wrong_kind]
        error = max(fitting or error.context, key=lambda cause: len(cause.absolute_path))
    return error
