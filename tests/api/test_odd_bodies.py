"""Bodies that are odd: each is answered with one sentence, before anything is painted or charged."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.types import Scope

from api.a1111.asked import read_clip_skip, read_parameters
from api.a1111.schemas import TextBody
from api.errors import NotSupportedError, UnreadableBodyError
from api.gate import MAX_PARTS, require_plain
from tests.api.harness import ADA, Api

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=X"}
SAID = b'"prompt": "a red circle", "width": 64, "height": 64, "steps": 5'


def a_form(*parts: bytes) -> bytes:
    return b"".join(b"--X\r\nContent-Disposition: form-data; " + each + b"\r\n" for each in parts) + b"--X--\r\n"


PROMPT = b'name="prompt"\r\n\r\na red circle'
ODD: list[tuple[str, str, bytes, dict[str, str], str]] = [
    ("too deep", "/sdapi/v1/txt2img", b'{%s, "x": %s1%s}' % (SAID, b"[" * 900, b"]" * 900), JSON, "written back"),
    ("half a letter", "/sdapi/v1/txt2img", b'{%s, "\\ud800": 1}' % SAID, JSON, "valid string"),
    ("no letter", "/sdapi/v1/txt2img", b'{%s, "x": "\\udfff"}' % SAID, JSON, "written back"),
    ("many keys", "/api/v1/jobs", b'{"a": 1' + b', "a": 1' * MAX_PARTS + b"}", JSON, "more than 10000 parts"),
    ("many lists", "/sdapi/v1/img2img", b"[" * (MAX_PARTS + 1), JSON, "more than 10000 parts"),
    ("too many digits", "/api/v1/jobs", b'{"prompt": "a", "seed": %s}' % (b"9" * 5000), JSON, "Content-Type"),
    ("endless", "/sdapi/v1/options", b'{"CLIP_stop_at_last_layers": 1e400}', JSON, "Use 1 to 12."),
    ("packed", "/api/v1/jobs", b"\x1f\x8b\x08", JSON | {"Content-Encoding": "gzip"}, "Content-Type"),
    ("no file", "/v1/images/edits", a_form(PROMPT, b'name="image"\r\n\r\nx'), FORM, "it must be a file"),
    ("2,000 fields", "/v1/images/edits", a_form(*[b'name="x"\r\n\r\n1'] * 2000), FORM, "Content-Type"),
    ("no boundary", "/v1/images/edits", a_form(PROMPT), {"Content-Type": "multipart/form-data"}, "Content-Type"),
    ("another boundary", "/v1/images/edits", a_form(PROMPT), {"Content-Type": FORM["Content-Type"] + "Y"}, "Content-"),
    ("no name", "/v1/images/edits", a_form(b"\r\n\r\nx"), FORM, "Content-Type"),
]


async def test_odd_bodies_are_refused_before_anything_is_painted(api: Api) -> None:
    client = await api.client(ADA)
    for name, path, body, headers, said in ODD:
        answer = await client.post(path, content=body, headers=headers)
        assert answer.status_code == 400 and said in answer.text and len(answer.text) < 800, (name, answer.text)
    answer = await client.get("/api/v1/jobs", params={"before": "0001-01-01T00:00:00+14:00"})
    assert (answer.status_code, answer.json()["error"]) == (400, "before")
    assert api.services.generation.list_live_ids() == []
    assert list((api.place.folder / "pictures").rglob("*.png")) == []


async def test_what_can_be_repeated_is(api: Api) -> None:
    """At any depth: an answer that cannot be written would cost its pictures."""
    client = await api.client(ADA)
    for depth in (2, 100, 250):
        body = b'{%s, "send_images": false, "x": [NaN, %s1e999%s]}' % (SAID, b"[" * depth, b"]" * depth)
        answer = await client.post("/sdapi/v1/txt2img", content=body, headers=JSON)
        assert answer.status_code == 200 or "written back" in answer.text, (depth, answer.text)
    odd: dict[str, Any] = {"prompt": "x", "x": [float("nan"), 10**400]}
    assert read_parameters(TextBody.model_validate(odd))["x"][0] is None
    with pytest.raises(UnreadableBodyError):
        read_parameters(TextBody.model_validate({"prompt": "x", "override_settings": {"x": "\ud800"}}))


def test_pictures_and_long_words_are_few_parts() -> None:
    scope: Scope = {"headers": [(b"content-type", b"application/json")]}
    require_plain(scope, b'{"prompt": "' + b"," * 8000 + b'", "picture": "' + b"A/+=" * 2**20 + b'"}')
    require_plain({"headers": [(b"content-type", b"multipart/form-data; boundary=X")]}, b"," * 2**20)
    with pytest.raises(UnreadableBodyError):
        require_plain({"headers": []}, b"," * (MAX_PARTS + 1))


def test_clip_skip_is_in_its_range() -> None:
    assert [read_clip_skip(each) for each in (None, "2", 0, 1, -1, float("nan"), 2.0, 12)] == [*[None] * 6, 2, 12]
    for odd in (13, 1e30, float("inf")):
        with pytest.raises(NotSupportedError):
            read_clip_skip(odd)
