"""The built-in model follows its prompt: read from the pixels by the judge, which is no trained model."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline
from PIL import Image

from generation.engine.engine import Engine
from generation.images.codec import encode_png
from generation.models.catalog import Catalog
from generation.paintbox import DEFAULT_GUIDANCE, DEFAULT_STEPS, MODEL_DIR, NATIVE_PX
from generation.requests.edits import Upscale
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, paint
from training.paintbox import judge
from training.paintbox.draw import draw
from training.paintbox.lessons.pictures import scenes
from training.paintbox.lessons.upscaler import halve
from training.paintbox.measures import psnr_db
from training.paintbox.scoring import Painter, score_counts, score_relations
from training.paintbox.world import Placed, Scene

# A warning from inside diffusers' own schedulers (they call numpy); nothing of ours raises one.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")


@pytest.fixture(scope="module")
def painter() -> Iterator[Painter]:
    yield Painter(MODEL_DIR, steps=DEFAULT_STEPS, guidance=DEFAULT_GUIDANCE, device="cpu")


def largest(picture: Image.Image) -> judge.Seen:
    return judge.read(picture).seen[0]


def roundness(picture: Image.Image, colour: tuple[int, int, int]) -> float:
    """Area of the pixels of a colour over that of the circle around them: 1 for a disc, 0.64 for a square."""
    ink = np.abs(np.asarray(picture, np.float64) - colour).max(axis=2) < 90
    rows, columns = np.nonzero(ink)
    radius = np.hypot(rows - rows.mean(), columns - columns.mean()).max()
    return float(ink.sum() / (np.pi * radius**2))


def test_a_red_circle_is_red_and_round(painter: Painter) -> None:
    pictures = painter.paint(["a red circle on a blue background"] * 4)
    assert [judge.read(picture).background for picture in pictures] == ["blue"] * 4
    assert [largest(picture).colour for picture in pictures] == ["red"] * 4
    assert sum(largest(picture).thing == "circle" for picture in pictures) >= 3
    assert np.median([roundness(picture, (220, 40, 45)) for picture in pictures]) > 0.75


def test_things_follow_their_words(painter: Painter) -> None:
    asked = {
        "star": "a yellow star on a blue background",
        "heart": "a pink heart on a black background",
        "square": "a green square on a white background",
        "triangle": "an orange triangle on a purple background",
        "house": "a purple house on a yellow background",
        "fish": "an orange fish on a cyan background",
    }
    seen = [largest(picture).thing for picture in painter.paint(list(asked.values()))]
    assert sum(thing == name for thing, name in zip(seen, asked, strict=True)) >= 5, seen


@pytest.mark.long
def test_left_of_above_and_how_many_are_mostly_right(painter: Painter) -> None:
    """On held-out combinations; the model card has the scores over more of them."""
    assert score_relations(painter, 8, seed=5).share >= 0.7
    assert score_counts(painter, 8, seed=5).share >= 0.6


def test_a_negative_prompt_removes_a_colour(painter: Painter) -> None:
    prompts = ["a circle on a white background"] * 4
    pictures = painter.paint(prompts, negative=["red"] * 4)
    assert all(piece.colour != "red" for picture in pictures for piece in judge.read(picture).seen)


def test_a_start_image_keeps_its_background_and_takes_the_new_colour(painter: Painter) -> None:
    """Image to image: the same background, another colour of the thing."""
    start = draw(Scene((Placed("circle", "red", 0.36, 0.4, 0.22),), "white"))
    repaint = StableDiffusionImg2ImgPipeline.from_pipe(painter.pipe)
    (picture,) = repaint(
        "a blue circle on a white background",
        image=start,
        strength=0.75,
        num_inference_steps=DEFAULT_STEPS,
        guidance_scale=DEFAULT_GUIDANCE,
        generator=torch.Generator().manual_seed(3),
    ).images
    assert (judge.read(picture).background, largest(picture).colour) == ("white", "blue")


def test_inpainting_changes_the_masked_half_only(painter: Painter) -> None:
    start = draw(Scene((Placed("star", "red", 0.26, 0.5, 0.2), Placed("star", "red", 0.74, 0.5, 0.2)), "white"))
    mask = Image.new("L", (NATIVE_PX, NATIVE_PX), 0)
    mask.paste(255, (NATIVE_PX // 2, 0, NATIVE_PX, NATIVE_PX))
    paint_in = StableDiffusionInpaintPipeline.from_pipe(painter.pipe)
    (picture,) = paint_in(
        "two green stars on a white background",
        image=start,
        mask_image=mask,
        height=NATIVE_PX,
        width=NATIVE_PX,
        num_inference_steps=DEFAULT_STEPS,
        guidance_scale=DEFAULT_GUIDANCE,
        generator=torch.Generator().manual_seed(3),
    ).images
    before, after = (np.asarray(each, np.float64) for each in (start, picture))
    left, right = np.abs(before - after)[:, :56], np.abs(before - after)[:, 72:]
    assert left.mean() < 12 < right.mean()
    colours = {piece.colour: piece.x for piece in judge.read(picture).seen}
    assert colours["red"] < NATIVE_PX / 2 < colours["green"]


def test_the_built_in_upscaler_doubles_a_drawing_through_the_engine() -> None:
    """In tiles, as the bot has it done; better than bicubic interpolation by far more than the seams could cost."""
    model = Catalog.open("paintbox").default
    engine = Engine([model], EngineSettings(num_threads=1))
    large = draw(scenes(1, seed=9)[0], 256)
    small = halve(large)
    spec = a_spec(model=model.name, width_px=128, height_px=128, upscale=Upscale(sha256="0" * 64))
    finished = paint(engine, an_order(spec, start_png=encode_png(small.tobytes(), (128, 128))))
    doubled = Image.frombytes("RGB", (finished.width_px, finished.height_px), finished.pixels)
    assert doubled.size == large.size
    bicubic = small.resize(large.size, Image.Resampling.BICUBIC)
    assert psnr_db(doubled, large) > psnr_db(bicubic, large) + 2
