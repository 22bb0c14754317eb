"""Requests whose attached files are not fetched yet."""

from __future__ import annotations

from dataclasses import replace

from generation.models.catalog import PAINTBOX
from generation.requests.edits import StartImage, Upscale
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.requests.unfetched import NO_FILE, hide_files

IMAGE, MASK, OTHER = "1" * 64, "2" * 64, "3" * 64
SPEC = ImageSpec(
    prompt="a star", model=PAINTBOX, width_px=64, height_px=64, steps=2, guidance=3.0, sampler="Euler", seed=1
)


def start_from(sha256: str, mask_sha256: str | None = None) -> GenerationRequest:
    return GenerationRequest(spec=replace(SPEC, start=StartImage(sha256=sha256, strength=0.5, mask_sha256=mask_sha256)))


def test_attached_files_are_hidden_and_others_are_not() -> None:
    assert hide_files(start_from(IMAGE, MASK), {IMAGE, MASK}) == start_from(NO_FILE, NO_FILE)
    assert hide_files(start_from(OTHER, MASK), {MASK}) == start_from(OTHER, NO_FILE)
    assert hide_files(start_from(IMAGE), {IMAGE}) == start_from(NO_FILE)
    larger = GenerationRequest(spec=replace(SPEC, upscale=Upscale(sha256=IMAGE)))
    assert hide_files(larger, {IMAGE}) == GenerationRequest(spec=replace(SPEC, upscale=Upscale(sha256=NO_FILE)))


def test_without_files_a_request_is_itself() -> None:
    request = GenerationRequest(spec=SPEC)
    assert hide_files(request, ()) is request
    assert hide_files(request, {IMAGE}) == request


def test_whatever_else_differs_still_does() -> None:
    wider = replace(start_from(IMAGE), spec=replace(start_from(IMAGE).spec, width_px=128))
    assert hide_files(wider, {IMAGE}) != start_from(NO_FILE)
