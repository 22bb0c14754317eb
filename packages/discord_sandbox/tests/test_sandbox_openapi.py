"""The validator of messages looks at fewer parts of a union than jsonschema does, and says the same."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from discord_sandbox.openapi_validator import _UNDESCRIBED, OpenApiDescription


def of_kind(number: int, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"type": {"type": "integer", "enum": [number]}, **properties},
        "required": ["type"],
    }


REFS = "#/components/schemas/"
SPEC = {
    "components": {
        "schemas": {
            **{name: {"properties": {}} for name in _UNDESCRIBED},
            "SnowflakeType": {"type": "string"},
            "Error": {"properties": {"code": {"type": "integer"}}},
            "InnerErrors": {"properties": {"_errors": {"items": {}}}},
            "Style": {"oneOf": [{"title": "GREY", "const": 1}, {"title": "RED", "const": 2}]},
            "Button": of_kind(2, style={"$ref": f"{REFS}Style"}),
            "Row": of_kind(1, components={"type": "array", "items": {"oneOf": [{"$ref": f"{REFS}Button"}]}}),
            "Part": {"oneOf": [{"$ref": f"{REFS}Row"}, {"$ref": f"{REFS}Button"}]},
        }
    }
}
BODIES = [
    {"type": 1, "components": [{"type": 2, "style": 2}]},
    {"type": 1, "components": [{"type": 2, "style": 3}]},
    {"type": 1, "components": [{"type": 1}]},
    {"type": 1, "components": [{"type": 2}, 7]},
    {"type": 2, "components": []},
    {"type": 2, "style": True},
    *({"type": kind} for kind in (1, 1.0, True, "1", None, 3, [1])),
    {},
    [],
    None,
]


@pytest.mark.parametrize("body", BODIES, ids=str)
def test_a_union_is_judged_as_by_jsonschema_alone(body: Any) -> None:
    pointer = ("components", "schemas", "Part")
    description = OpenApiDescription(deepcopy(SPEC))
    plain = Draft202012Validator({**deepcopy(SPEC), "$ref": f"{REFS}Part"})
    assert description.is_valid("response", pointer, body) == plain.is_valid(body)
    assert description.get_validator("response", pointer).is_valid(body) == plain.is_valid(body)
