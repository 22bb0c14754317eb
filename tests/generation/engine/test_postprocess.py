"""What leaves the engine of a flagged picture is decided by the checker's margins, for every choice of a guild."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from generation.engine.checkers.clip import score_concepts
from generation.engine.postprocess import blurred, finish_image
from generation.jobs.protocol import GenerateCommand, Share
from generation.requests.spec import ImageSpec
from generation.safety.verdict import judge

CALM, LOUD = torch.full((17,), -0.1), torch.full((17,), 0.1)
GROWN, YOUNG = torch.full((3,), -0.1), torch.full((3,), 0.1)
PICTURE = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
NAN = torch.full((17,), torch.nan)


def finished(care: torch.Tensor, concepts: torch.Tensor, **chosen: Any) -> Any:
    spec = ImageSpec(prompt="x", model="m", width_px=96, height_px=64, steps=1, guidance=1.0, sampler="Euler a", seed=1)
    order = GenerateCommand(image_id="i", attempt=1, spec=spec, share=Share(1), **chosen)
    return finish_image(order, PICTURE, judge(score_concepts(care, concepts)))


@pytest.mark.parametrize(
    ("care", "concepts", "flagged", "shown", "kept"),
    [
        (GROWN, CALM, False, True, False),
        (GROWN, LOUD, True, True, True),
        (YOUNG, torch.full((17,), -0.2), False, True, False),
        (YOUNG, LOUD, True, False, False),  # both at once: shown and kept nowhere, by no choice
        (GROWN, NAN, True, False, False),  # not a number is not a yes
        (torch.full((3,), torch.nan), CALM, True, False, False),
    ],
)
def test_the_most_that_a_guild_can_choose(
    care: torch.Tensor, concepts: torch.Tensor, flagged: bool, shown: bool, kept: bool
) -> None:
    revealing = finished(care, concepts, shows_flagged=True)
    assert (revealing.flagged, bool(revealing.pixels), revealing.withheld) == (flagged, shown, not shown)
    keeping = finished(care, concepts, keeps_for_review=True)
    assert (bool(keeping.pixels), bool(keeping.review_jpeg)) == (not flagged, kept)
    assert finished(care, concepts).review_jpeg == b""


def test_review_copies_have_no_detail() -> None:
    small = blurred(PICTURE)
    assert small.shape == (170, 256, 3)
    assert len(np.unique(np.diff(small.astype(int), axis=1))) < len(np.unique(np.diff(PICTURE.astype(int), axis=1))) / 4
