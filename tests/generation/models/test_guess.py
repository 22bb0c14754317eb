"""What is written about a model tells how it is painted: few steps, no guidance, quality tags, another size."""

from __future__ import annotations

from typing import Any

import pytest

from generation.models.guess import Source, guess_defaults

FEW = {"guidance": 1.0, "sampler": "Euler SGM Uniform"}
TURBO = {"steps": 4, "guidance": 1.0, "sampler": "Euler a SGM Uniform"}
TAGS = {"suffix": "masterpiece, best quality", "negative": "worst quality, low quality"}


@pytest.mark.parametrize(
    ("family", "name", "expected"),
    [
        ("sdxl", "sdxl_lightning_4step", {"steps": 4, **FEW}),
        ("sdxl", "SDXL-Lightning 8 Steps", {"steps": 8, **FEW}),
        ("sdxl", "juggernautXL_v9Rdphoto2Lightning", {"steps": 4, **FEW}),
        ("sdxl", "Lightning50steps", {"steps": 4, **FEW}),
        ("sdxl", "Hyper-SDXL-1step", {"steps": 1, **FEW}),
        ("sd", "realisticHyper8steps", {"steps": 8, **FEW}),
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
    assert guess_defaults("sdxl", [], predicts_v=True).overrides.given == {
        "steps": 28,
        "guidance": 5.0,
        "sampler": "Euler",
    }
    assert guess_defaults("sdxl", [Source("its name", "x Lightning")], predicts_v=True).overrides.given["steps"] == 4
    assert guess_defaults("sd", [], predicts_v=True).overrides.given == {}


@pytest.mark.parametrize(
    ("notes", "skipped"), [("Recommended: **Clip skip:** 2", 2), ("clip_skip=2", 2), ("Clip skip 12", None), ("", None)]
)
def test_an_author_tells_the_clip_skip_of_stable_diffusion_1(notes: str, skipped: int | None) -> None:
    assert guess_defaults("sd", [], notes=notes).overrides.clip_skip == skipped
    assert guess_defaults("sdxl", [], notes=notes).overrides.clip_skip is None
