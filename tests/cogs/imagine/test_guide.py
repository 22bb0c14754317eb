"""What a picture is to a ControlNet, from what a member chose, or left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import UNSET

from cogs.imagine._guide import PREPARATIONS, Guide
from generation.models.catalog import PAINTBOX, Catalog
from generation.models.controls import ControlFile
from generation.requests.control import ADAPTER, MODES, UNION, Control
from generation.requests.errors import ControlModeError

CATALOG = Catalog.open(PAINTBOX)


def a_file(kind: str, name: str = "net") -> ControlFile:
    return ControlFile(name=name, path=Path(name), sha256="a" * 64, family="sd", kind=kind, num_modes=6)


def build(file: ControlFile, preparation: str | None) -> Control:
    model = replace(CATALOG.default, controls=(file,))
    return Guide(preparation=preparation).build(model, CATALOG, "b" * 64)


@pytest.mark.parametrize(
    ("preparation", "preprocessor", "mode"),
    [
        (None, "canny", "lines"),
        ("softedge", "softedge", "softedge"),
        ("invert", "invert", "lines"),
        ("map:pose", "none", "pose"),
        ("map:lines", "none", "lines"),
    ],
)
def test_a_union_is_told_what_its_picture_is(preparation: str | None, preprocessor: str, mode: str) -> None:
    control = build(a_file(UNION), preparation)
    assert (control.kind, control.preprocessor, control.mode) == (UNION, preprocessor, mode)


def test_a_union_is_refused_what_it_cannot_be_told() -> None:
    with pytest.raises(ControlModeError, match="pose, depth, softedge, lines, normal, segments"):
        build(a_file(UNION), "none")


@pytest.mark.parametrize("kind", ["", ADAPTER])
def test_others_need_not_know(kind: str) -> None:
    control = build(a_file(kind), "map:depth")
    assert (control.kind, control.preprocessor, control.mode) == (kind or UNSET, "none", UNSET)
    assert build(a_file(kind, "my-canny"), None).preprocessor == "canny"


def test_every_map_can_be_chosen() -> None:
    assert {f"map:{mode}" for mode in MODES} < {each.value for each in PREPARATIONS}
