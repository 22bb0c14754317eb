"""A preview is shown only where any other picture of its scores would be; what was not looked at counts as flagged."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.models.registry import Preview, PreviewScore
from generation.safety.preview_visibility import how_preview_shown
from generation.safety.strictness import Strictness
from generation.safety.visibility import FlaggedHandling, SafetyLevel, Shown
from generation.workers.engine_settings import CheckerThresholds

THRESHOLDS = msgspec.structs.asdict(CheckerThresholds())
CALM = {"open_nsfw": 0.1, "hentai": 0.1, "porn": 0.1, "sexy": 0.1}


def preview(*, added: tuple[str, ...] = (), more: dict[str, PreviewScore] | None = None, **values: float) -> Preview:
    scores = {name: PreviewScore(value=value) for name, value in (CALM | values).items()}
    return Preview(sha256="0" * 64, scores=scores | (more or {}), added_checkers=added)


def shown(of: Preview, level: SafetyLevel = SafetyLevel.BLOCK, **options: Any) -> Shown:
    handling = FlaggedHandling(level=level, strictness=options.pop("strictness", Strictness.USUAL))
    usual: dict[str, Any] = {
        "thresholds": THRESHOLDS,
        "added_checkers": (),
        "checks_safety": True,
        "says_young": False,
    }
    return how_preview_shown(of, handling, **usual | options)


@pytest.mark.parametrize(
    ("of", "options", "expected"),
    [
        (preview(), {}, Shown.OPENLY),
        (preview(open_nsfw=0.6), {}, Shown.NOT),
        (preview(open_nsfw=0.6), {"level": SafetyLevel.BLUR}, Shown.SPOILER),
        (preview(open_nsfw=0.6), {"level": SafetyLevel.OFF}, Shown.OPENLY),
        (preview(open_nsfw=0.4), {}, Shown.OPENLY),
        (preview(open_nsfw=0.4), {"strictness": Strictness.STRICT}, Shown.NOT),
        (preview(open_nsfw=0.4), {"thresholds": THRESHOLDS | {"open_nsfw": 0.3}}, Shown.NOT),
        (preview(), {"checks_safety": False}, Shown.NOT),
        (preview(), {"checks_safety": False, "level": SafetyLevel.BLUR}, Shown.NOT),
        (preview(), {"checks_safety": False, "level": SafetyLevel.OFF}, Shown.OPENLY),
        (preview(), {"added_checkers": ("new",)}, Shown.NOT),
        (preview(added=("new",)), {"added_checkers": ("new",)}, Shown.OPENLY),
        (preview(open_nsfw=0.4), {"says_young": True, "level": SafetyLevel.OFF}, Shown.NOT),
        (preview(more={"x concept": PreviewScore(value=0.1, step=0.01)}), {}, Shown.NOT),
        (
            preview(more={"x concept": PreviewScore(value=0.1), "x care": PreviewScore(value=0.1, is_age=True)}),
            {"level": SafetyLevel.OFF},
            Shown.NOT,
        ),
        (Preview(sha256="0" * 64, scores={"open_nsfw": PreviewScore(value=0.1)}), {}, Shown.NOT),
        (Preview(sha256="0" * 64, scores={}), {"level": SafetyLevel.OFF}, Shown.NOT),
    ],
)
def test_where_a_preview_is_shown(of: Preview, options: dict[str, Any], expected: Shown) -> None:
    assert shown(of, **options) is expected


_SHARES = st.floats(0, 1)


@given(_SHARES, _SHARES, _SHARES, _SHARES, st.booleans())
def test_a_stricter_server_never_shows_more(nsfw: float, hentai: float, porn: float, sexy: float, young: bool) -> None:
    of = preview(open_nsfw=nsfw, hentai=hentai, porn=porn, sexy=sexy)
    order = [Shown.OPENLY, Shown.SPOILER, Shown.NOT]
    for level in SafetyLevel:
        by_strictness = [order.index(shown(of, level, strictness=each, says_young=young)) for each in Strictness]
        assert by_strictness == sorted(by_strictness)
    flagged = max(nsfw / 0.5, hentai / 0.6, porn / 0.95, sexy / 0.98) > 1
    assert not flagged or shown(of) is Shown.NOT
