"""The judge itself: pictures with known answers, right ones and wrong ones."""

import random

import numpy as np
import pytest
from PIL import Image, ImageFilter

from training.paintbox import judge
from training.paintbox.draw import draw
from training.paintbox.palette import COLOURS
from training.paintbox.pieces import fill_holes, label
from training.paintbox.things import THINGS
from training.paintbox.world import SCENES, Placed, Scene, is_visible, pair, several, single

pytestmark = pytest.mark.long  # of the training of the built-in model, which no user runs


def drawn_singles(count: int) -> list[Scene]:
    rng = random.Random(count)
    made = []
    for index in range(count):
        place = rng.choice((*COLOURS, *SCENES))
        colour = rng.choice([name for name in COLOURS if is_visible(name, place)])
        thing = list(THINGS)[index % len(THINGS)]
        made.append(single(rng, thing, colour, place, size="medium", look="flat"))
    return made


@pytest.mark.parametrize("blur", [0.0, 1.2])
def test_it_reads_drawn_pictures_sharp_or_soft(blur: float) -> None:
    """The bars of the model are 97 % and 90 %: the judge itself must err far less."""
    made = drawn_singles(100)
    readings = [judge.read(draw(scene).filter(ImageFilter.GaussianBlur(blur))) for scene in made]
    pairs = list(zip(made, readings, strict=True))
    assert sum(r.background == s.background for s, r in pairs) >= 99
    assert sum(r.seen[0].colour == s.placed[0].colour for s, r in pairs) >= 99
    assert sum(r.seen[0].thing == s.placed[0].thing for s, r in pairs) >= 97
    assert sum(len(r.seen) == 1 for _, r in pairs) >= 97


def test_it_is_not_fooled_by_the_wrong_colour_thing_or_place() -> None:
    scene = Scene((Placed("heart", "red", 0.5, 0.5, 0.28),), "blue")
    wrong = Scene((Placed("star", "green", 0.5, 0.5, 0.28),), "meadow")
    wrong_reading = judge.read(draw(wrong))
    assert judge.read(draw(scene)).background == "blue"
    assert wrong_reading.background != "blue"
    assert wrong_reading.seen == () or wrong_reading.seen[0].thing != "heart"


def test_an_empty_picture_and_noise_score_nothing() -> None:
    assert judge.read(Image.new("RGB", (128, 128), COLOURS["cyan"])).seen == ()
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    assert len(judge.read(Image.fromarray(noise)).seen) != 1


@pytest.mark.parametrize("count", [2, 3])
def test_it_counts(count: int) -> None:
    rng = random.Random(count)
    made = [several(rng, t, "red", "white", count=count, size="medium", look="flat") for t in THINGS]
    assert sum(len(judge.read(draw(scene)).seen) == count for scene in made) >= len(made) - 1


def test_it_tells_left_from_right_and_above_from_below() -> None:
    rng = random.Random(0)
    first, second = ("circle", "red"), ("star", "green")
    for relation, (dx, dy) in {"left": (-1, 0), "right": (1, 0), "above": (0, -1), "below": (0, 1)}.items():
        scene = pair(rng, first, second, "white", relation=relation, look="flat")  # type: ignore[arg-type]
        offset = judge.related(judge.read(draw(scene)), *scene.placed)
        assert offset is not None
        assert offset[0] * dx + offset[1] * dy > 40
    alone = draw(Scene((Placed("circle", "red", 0.5, 0.5, 0.2),), "white"))
    assert judge.related(judge.read(alone), *scene.placed) is None


def test_a_shade_alone_does_not_count_as_the_colour() -> None:
    dark = np.full((128, 128, 3), 250, np.uint8)
    dark[40:90, 40:90] = (109, 19, 19)
    assert judge.read(Image.fromarray(dark)).seen[0].colour != "red"


def test_pieces_are_counted_and_holes_filled() -> None:
    mask = np.zeros((9, 9), bool)
    mask[1:6, 1:6] = True
    mask[3, 3] = False
    mask[7, 7] = mask[8, 8] = True
    assert label(mask)[1] == 3
    assert fill_holes(mask)[3, 3]
    assert fill_holes(mask).sum() == mask.sum() + 1
    spiral = np.array([[1, 0, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]], bool)
    assert label(spiral)[1] == 1
