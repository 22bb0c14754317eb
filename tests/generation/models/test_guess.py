"""What is written about a model tells how it is painted: few steps, no guidance, quality tags, another size."""

from __future__ import annotations

from typing import Any

import pytest

from generation.models.guess import Source, guess_defaults, guess_lora
from generation.models.scheduler_config import V_PREDICTION

FEW = {"guidance": 1.0, "sampler": "Euler SGM Uniform"}
HYPER = {"guidance": 1.0, "sampler": "DDIM SGM Uniform"}
TURBO = {"steps": 4, "guidance": 1.0, "sampler": "Euler a SGM Uniform"}
TAGS = {"suffix": "masterpiece, best quality", "negative": "worst quality, low quality"}


@pytest.mark.parametrize(
    ("family", "name", "expected"),
    [
        ("sdxl", "sdxl_lightning_4step", {"steps": 4, **FEW}),
        ("sdxl", "SDXL-Lightning 8 Steps", {"steps": 8, **FEW}),
        ("sdxl", "juggernautXL_v9Rdphoto2Lightning", {"steps": 4, **FEW}),
        ("sdxl", "Lightning50steps", {"steps": 4, **FEW}),
        ("sdxl", "Hyper-SDXL-1step", {"steps": 1, **HYPER}),
        ("sd", "realisticHyper8steps", {"steps": 8, **HYPER}),
        ("sdxl", "photo_tcd", {"steps": 4, "guidance": 1.0, "sampler": "TCD"}),
        ("sdxl", "SDXL Turbo", TURBO | {"native_px": 512}),
        ("sdxl", "DreamShaperXL_v21TurboDPMSDE", TURBO),
        ("sd", "sd-turbo", TURBO),
        ("sd", "dreamshaperLCM_v8", {"steps": 6, "guidance": 1.5, "sampler": "LCM"}),
        ("sdxl", "some_dmd2", {"steps": 4, "guidance": 1.0, "sampler": "LCM"}),
        ("sdxl", "ponyDiffusionV6XL", {"prefix": "score_9, score_8_up, score_7_up"}),
        ("sdxl", "NoobAI-XL-v1.0", TAGS),
        ("sdxl", "waiIllustrious_v140", TAGS),
        ("sd", "sd2.1-768", {"native_px": 768}),
        ("sd", "hyperrealism_v3", {}),
        ("sd", "Hyper Realistic", {}),
        ("sdxl", "mymodel_nonTurbo", {}),
        ("sdxl", "my model, not Lightning", {}),
        ("sd", "algorithm 25 steps", {}),
    ],
)
def test_a_name_tells(family: str, name: str, expected: dict[str, Any]) -> None:
    assert guess_defaults(family, [Source("its name", name)]).overrides.given == expected


def test_the_first_source_decides_and_any_tells_the_number_of_steps() -> None:
    sources = [
        Source("its name", "photo_v4"),
        Source("its page", "SDXL Lightning"),
        Source("its card", "turbo, 8-step"),
    ]
    guess = guess_defaults("sdxl", sources)
    assert guess.overrides.given == {"steps": 8, **FEW}
    assert guess.reasons == ("its page says Lightning, 8 steps",)


def test_v_prediction_of_xl_is_painted_with_less_guidance() -> None:
    v = {"prediction_type": V_PREDICTION}
    assert guess_defaults("sdxl", [], scheduler=v).overrides.given == {
        "steps": 28,
        "guidance": 5.0,
        "sampler": "Euler",
    }
    assert guess_defaults("sdxl", [Source("its name", "x Lightning")], scheduler=v).overrides.given["steps"] == 4
    assert guess_defaults("sd", [], scheduler=v).overrides.given == {}


@pytest.mark.parametrize(
    ("notes", "skipped"), [("Recommended: **Clip skip:** 2", 2), ("clip_skip=2", 2), ("Clip skip 12", None), ("", None)]
)
def test_an_author_tells_the_clip_skip_of_stable_diffusion_1(notes: str, skipped: int | None) -> None:
    assert guess_defaults("sd", [], notes=notes).overrides.clip_skip == skipped
    assert guess_defaults("sdxl", [], notes=notes).overrides.clip_skip is None


@pytest.mark.parametrize(
    ("family", "name", "expected"),
    [
        ("", "pytorch_lora_weights latent-consistency/lcm-lora-sdxl", (4, 1.0, "LCM")),
        ("", "lcm_8_steps", (8, 1.5, "LCM")),
        ("", "Hyper-SDXL-2steps-lora", (2, 1.0, "DDIM SGM Uniform")),
        ("", "Hyper-SDXL-1step-lora", (1, 1.0, "TCD")),
        ("", "Hyper-SD15-8steps-CFG-lora", (8, 5.0, "DDIM SGM Uniform")),
        ("", "sd_xl_turbo_lora_v1", (4, 1.0, "Euler a SGM Uniform")),
        ("qwenimage", "Qwen-Image-Lightning-8steps-V1.0", (8, 1.0, "Euler")),
        ("zimage", "dmd2", (4, 1.0, "Euler")),
        ("", "lightning strikes", None),
        ("", "turbo engines of cars", None),
        ("", "hyper detail", None),
        ("", "ink", None),
    ],
)
def test_the_name_of_a_lora_tells_if_it_makes_a_model_fast(
    family: str, name: str, expected: tuple[int, float, str] | None
) -> None:
    found = guess_lora(family, [Source("its name", name)]).overrides
    assert (tuple(found.given.values()) or None) == expected


@pytest.mark.parametrize(
    ("settings", "sampler"),
    [
        ({"_class_name": "LCMScheduler"}, "LCM"),
        ({"_class_name": "TCDScheduler"}, "TCD"),
        ({"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}, "Euler SGM Uniform"),
        ({"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading"}, None),
        ({"_class_name": "PNDMScheduler", "timestep_spacing": "trailing"}, None),
        (
            {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing", "prediction_type": V_PREDICTION},
            None,
        ),
    ],
)
def test_a_scheduler_tells_where_no_word_does(settings: dict[str, Any], sampler: str | None) -> None:
    assert guess_defaults("sd", [Source("its name", "photo")], scheduler=settings).overrides.sampler == sampler


def test_a_turbo_has_the_sampler_of_its_settings() -> None:
    settings = {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}
    guess = guess_defaults("sd", [Source("its name", "sd-turbo")], scheduler=settings)
    assert guess.overrides.given == TURBO | {"sampler": "Euler SGM Uniform"}
