"""The weights in the repository: they load, keep their size limit, and give the requested picture."""

from collections.abc import Iterator

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPTextModel, Swin2SRForImageSuperResolution

from generation.paintbox import DEFAULT_GUIDANCE, DEFAULT_STEPS, MODEL_DIR, NATIVE_PX, SAFETY_DIR, UPSCALER_DIR
from training.paintbox import judge, measures
from training.paintbox.lessons.pictures import pool
from training.paintbox.lessons.vae import latent_scale
from training.paintbox.scoring import Painter

SAMPLERS = {
    "DDIM": (DDIMScheduler, {}),
    "PNDM": (PNDMScheduler, {"skip_prk_steps": True}),
    "Euler": (EulerDiscreteScheduler, {}),
    "Euler a": (EulerAncestralDiscreteScheduler, {}),
    "DPM++ 2M Karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
}

# A warning from inside diffusers' own schedulers (they call numpy); nothing of ours raises one.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")


@pytest.fixture(scope="module")
def painter() -> Iterator[Painter]:
    yield Painter(MODEL_DIR, steps=DEFAULT_STEPS, guidance=DEFAULT_GUIDANCE, device="cpu")


@pytest.mark.parametrize(
    ("cls", "folder"),
    [
        (CLIPTextModel, MODEL_DIR / "text_encoder"),
        (UNet2DConditionModel, MODEL_DIR / "unet"),
        (AutoencoderKL, MODEL_DIR / "vae"),
        (StableDiffusionSafetyChecker, SAFETY_DIR),
        (Swin2SRForImageSuperResolution, UPSCALER_DIR),
    ],
)
def test_no_key_is_missing_or_left_over(cls, folder) -> None:  # type: ignore[no-untyped-def]
    _, info = cls.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]


def test_everything_together_is_light() -> None:
    assert 1 < measures.weights_mb(MODEL_DIR.parent) <= 40


def test_the_same_seed_gives_the_same_picture(painter: Painter) -> None:
    prompts = ["a red circle on a blue background"]
    first, again = painter.paint(prompts, first_seed=7), painter.paint(prompts, first_seed=7)
    assert first[0].size == (NATIVE_PX, NATIVE_PX)
    assert first[0].tobytes() == again[0].tobytes() != painter.paint(prompts, first_seed=8)[0].tobytes()


@pytest.mark.parametrize(
    "name",
    ["Euler", "DDIM", *(pytest.param(each, marks=pytest.mark.long) for each in SAMPLERS.keys() - {"Euler", "DDIM"})],
)
def test_every_sampler_gives_the_requested_background(name: str, painter: Painter) -> None:
    cls, options = SAMPLERS[name]
    stock = painter.pipe.scheduler
    try:
        painter.pipe.scheduler = cls.from_config(stock.config, **options)
        pictures = painter.paint(["a red circle on a blue background", "a green star on a yellow background"])
    finally:
        painter.pipe.scheduler = stock
    assert [judge.read(picture).background for picture in pictures] == ["blue", "yellow"]


def test_the_checker_finds_spiders_and_leaves_the_rest() -> None:
    scores = measures.checker_scores(SAFETY_DIR, count=120, seed=3)
    assert scores["safety_recall"] >= 0.9
    assert scores["safety_precision"] >= 0.9


def test_the_upscaler_beats_bicubic() -> None:
    network = Swin2SRForImageSuperResolution.from_pretrained(UPSCALER_DIR, local_files_only=True)
    assert sum(p.numel() for p in network.parameters()) <= 150_000
    assert measures.upscaler_gain_db(UPSCALER_DIR, count=6, seed=3) >= 2


def test_the_latents_are_scaled_to_unit_deviation(painter: Painter) -> None:
    vae = painter.pipe.vae
    assert latent_scale(vae, pool(48, seed=99, side_px=NATIVE_PX)) == pytest.approx(vae.config.scaling_factor, rel=0.1)
    assert torch.isfinite(next(vae.parameters())).all()
