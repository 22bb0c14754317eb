"""The table of refusals always leads to an end, in a bounded number of steps."""

from __future__ import annotations

import io
import random
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import discord
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cogs.common.discord_errors import BY_STATUS, LATER, REFUSALS, UNKNOWN, Refusal, Step, classify_error
from cogs.common.messages import Gallery, MessageSpec, Picture
from cogs.common.refused_messages import MAX_TRIES, MessageRefusedError, UnreachableError
from cogs.results._reduced_variants import MAX_CUTS, MessageVariant
from generation.errors import InvalidRequestError
from generation.images.codec import encode_png, shrink

RELIABILITY = Path(__file__).resolve().parents[3] / "docs" / "reliability.md"


def error(status: int, code: int | None = None, *, text: str = "", **headers: str) -> discord.HTTPException:
    """Return an error as discord.py raises it; without a `code` it is the page of a proxy."""
    response: Any = SimpleNamespace(status=status, reason="", headers=headers)
    if code is None:
        return discord.HTTPException(response, "<html></html>")
    return discord.HTTPException(response, {"code": code, "message": text})


@given(st.integers(400, 599), st.none() | st.integers(0, 600_000) | st.sampled_from(sorted(REFUSALS)))
def test_every_answer_falls_in_a_class(status: int, code: int | None) -> None:
    refusal = classify_error(error(status, code))
    if status >= 500:
        assert refusal.step is Step.AGAIN
    elif code in REFUSALS:
        assert refusal == REFUSALS[code]
    else:
        assert refusal == BY_STATUS.get(status, UNKNOWN)


def test_a_page_of_a_proxy_counts_by_its_status() -> None:
    assert classify_error(error(413)).step is Step.SMALLER
    assert classify_error(error(429)).step is Step.AGAIN
    assert classify_error(error(502)).step is Step.AGAIN


def test_an_invalid_form_that_names_the_reference_is_sent_without_it() -> None:
    where = "Invalid Form Body\nIn message_reference: Unknown message"
    assert classify_error(error(400, 50035, text=where)).step is Step.NO_REFERENCE
    assert classify_error(error(400, 50035, text="Invalid Form Body")).step is Step.PLAIN


@pytest.mark.parametrize(
    ("asked", "pause_s"), [("12.5", 12.5), ("-3", 0.0), ("999999", 3600.0), ("soon", 0.0), ("", 0.0)]
)
def test_the_pause_that_is_asked_for_is_kept_within_bounds(asked: str, pause_s: float) -> None:
    headers: dict[str, Any] = {"Retry-After": asked}
    assert MessageRefusedError.of(error(429, **headers)).pause_s == pause_s


def test_repeated_refusals_end() -> None:
    refused = MessageRefusedError(Refusal(Step.AGAIN, "busy"), pause_s=3.0)
    assert refused.wait_s(MAX_TRIES - 1) == 3.0
    assert refused.wait_s(MAX_TRIES) is None


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from([step for step in Step if step not in LATER]), min_size=40, max_size=40),
    st.integers(1, 40 * 2**20),
)
def test_any_refusals_one_after_the_other_lead_to_an_end(steps: list[Step], num_bytes: int) -> None:
    """Each variant sends what its limit lets through; none has more than the one before, and they run out."""
    variant, num_sent = MessageVariant(num_bytes), 0
    with pytest.raises(UnreachableError):
        for step in steps:
            picture = Picture("a.png", bytes(min(num_bytes, variant.size_limit)), "a")
            say = MessageSpec(blocks=(Gallery((picture,)) if variant.has_files else "words",))
            after, num_sent = variant.after(MessageRefusedError(Refusal(step, "why")), say), num_sent + 1
            assert after != variant
            assert after.has_files <= variant.has_files and after.has_words <= variant.has_words
            variant = after
    assert num_sent <= MAX_CUTS + 3


def test_a_waiting_message_keeps_its_variant() -> None:
    for step in LATER:
        with pytest.raises(MessageRefusedError):
            MessageVariant().after(MessageRefusedError(Refusal(step, "why")), MessageSpec(blocks=("words",)))


@pytest.mark.parametrize("max_bytes", [400_000, 100_000, 30_000, 12_000])
def test_the_largest_jpeg_is_shrunk_until_it_fits(max_bytes: int) -> None:
    """Noise: no quality alone brings it below the smaller limits."""
    png = encode_png(random.Random(1).randbytes(512 * 512 * 3), (512, 512))
    jpeg = shrink(png, max_bytes=max_bytes)
    assert len(jpeg) <= max_bytes
    with Image.open(io.BytesIO(jpeg)) as picture:
        assert picture.format == "JPEG" and picture.width == picture.height


def test_a_picture_that_never_fits_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        shrink(encode_png(bytes(64 * 64 * 3), (64, 64)), max_bytes=100)


def test_the_page_on_reliability_lists_every_code_with_its_step() -> None:
    """One row of the page for each step: its name, then what it does, then its codes."""
    rows = re.findall(r"^\| `([a-z-]+)` \|.*\| ([0-9, ]*) \|$", RELIABILITY.read_text(encoding="utf-8"), re.MULTILINE)
    listed = {Step(name): [int(code) for code in codes.split(",") if code.strip()] for name, codes in rows}
    for step in Step:
        assert listed[step] == sorted(code for code, each in REFUSALS.items() if each.step is step), step
