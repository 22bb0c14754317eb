"""A model's own checker judges final pixels and previews, beside those of all models."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image as PillowImage
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessorPil

from generation.engine.checkers.clip import ClipChecker, score_concepts
from generation.engine.devices import Device
from generation.engine.engine import Engine
from generation.images.codec import encode_png
from generation.jobs.protocol import Finished, GenerateCommand, ImageFailed, Preview
from generation.requests.control import Control
from generation.requests.edits import StartImage, Upscale
from generation.safety.checker_trust import SHARED
from generation.safety.verdict import SafetyVerdict, judge
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_picture, a_spec, an_order, ends, paint, run
from tests.generation.engine.toy import save_checker, toy_model

ALL_SCORES = {"care", "concept", *SHARED}
CPU = Device(torch.device("cpu"), torch.float32, 1)


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checker(tmp_path_factory.mktemp("lenient"), threshold=1.0)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checker(tmp_path_factory.mktemp("strict"), threshold=-1.0)


def judged(care: torch.Tensor, concepts: torch.Tensor) -> SafetyVerdict:
    return judge(score_concepts(care, concepts))


def checked_engine(folder: Path, checker: Path) -> Engine:
    return Engine([toy_model(folder, safety_checker=checker)], EngineSettings(num_threads=1))


def test_a_picture_that_passes_comes_with_its_scores(toy_folder: Path, lenient: Path) -> None:
    engine = checked_engine(toy_folder, lenient)
    said = run(engine, an_order(a_spec(), check_safety=True, num_previews=1))
    end = ends(said)["a-0"]
    assert isinstance(end, Finished)
    assert (end.withheld, bool(end.pixels), set(end.safety_scores)) == (False, True, ALL_SCORES)
    assert any(isinstance(event, Preview) for event in said)


def test_a_picture_that_does_not_pass_leaves_no_pixels_and_no_preview(toy_folder: Path, strict: Path) -> None:
    engine = checked_engine(toy_folder, strict)
    said = run(engine, an_order(a_spec(), check_safety=True, num_previews=2))
    end = ends(said)["a-0"]
    assert isinstance(end, Finished)
    assert (end.withheld, end.pixels) == (True, b"")
    assert not any(isinstance(event, Preview) for event in said)


def test_an_enlargement_is_checked_too(toy_folder: Path, strict: Path) -> None:
    engine = checked_engine(toy_folder, strict)
    spec = a_spec(upscale=Upscale(sha256="0" * 64))
    assert paint(engine, an_order(spec, check_safety=True, start_png=a_picture())).withheld


def test_the_check_can_be_left_out(toy_folder: Path, strict: Path) -> None:
    assert not paint(checked_engine(toy_folder, strict), an_order(check_safety=False)).withheld


def test_a_checker_that_fails_has_not_said_yes(toy_folder: Path, lenient: Path) -> None:
    engine = checked_engine(toy_folder, lenient)
    [checker] = engine._models.get("toy").checkers
    checker._normal = {"mean": np.zeros(2, np.float32)}  # of no use with three colours
    said = run(engine, an_order(check_safety=True, num_previews=1))
    assert getattr(ends(said)["a-0"], "error", "") == "Unchecked"
    assert not any(isinstance(event, Preview) for event in said)


@pytest.mark.parametrize("place", ["care", "concepts"])
def test_not_a_number_refuses(place: str) -> None:
    scores = {"care": torch.full((3,), -1.0), "concepts": torch.full((17,), -1.0)}
    assert judged(**scores).is_safe
    scores[place][1] = float("nan")
    verdict = judged(**scores)
    assert not verdict.is_safe
    assert all(np.isfinite(score) for score in verdict.scores.values())


def test_one_score_above_zero_refuses_and_special_care_tightens() -> None:
    concepts = torch.full((17,), -0.005)
    assert judged(torch.full((3,), -1.0), concepts).is_safe
    assert not judged(torch.tensor([-1.0, 0.1, -1.0]), concepts).is_safe
    assert not judged(torch.full((3,), -1.0), torch.cat([concepts[1:], torch.tensor([0.001])])).is_safe


def test_it_judges_as_the_stock_class_does(tmp_path: Path) -> None:
    """Preparation and arithmetic, on pictures whose scores are not within its rounding of the threshold."""
    generator = np.random.default_rng(0)
    pictures = [np.full((48, 64, 3), generator.integers(0, 256, 3), np.uint8) for _ in range(24)]
    probe = ClipChecker(save_checker(tmp_path / "probe", threshold=0.0), CPU)
    with torch.inference_mode():
        middle = float(np.median([probe.look(picture)["concept"].margin for picture in pictures]))
        folder = save_checker(tmp_path / "checker", threshold=middle)
        ours, stock = ClipChecker(folder, CPU), StableDiffusionSafetyChecker.from_pretrained(folder)
        judged = [(judge(ours.look(picture)), stock_flag(stock, picture)) for picture in pictures]
    clear = [(verdict.is_safe, flag) for verdict, flag in judged if abs(verdict.scores["concept"]) > 0.001]
    assert {flag for _, flag in clear} == {True, False}, "agreement means something only if both are among them"
    assert all(is_safe is not flag for is_safe, flag in clear)


def stock_flag(stock: StableDiffusionSafetyChecker, picture: np.ndarray) -> bool:
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    prepared = processor(PillowImage.fromarray(picture), return_tensors="pt").pixel_values
    _, flags = stock(prepared, [np.zeros((4, 4, 3))])
    return bool(flags[0])


def test_a_checker_with_a_weight_that_is_no_number_is_not_loaded(lenient: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(lenient, tmp_path / "checker"))
    weights = load_file(folder / "model.safetensors")
    weights["concept_embeds"][0, 0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Exception, match="not finite"):
        ClipChecker(folder, CPU)


@pytest.fixture(scope="module")
def of_two_minds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray]:
    """A checker, a picture it flags, and one it does not: its threshold lies between the two."""
    probe = ClipChecker(save_checker(tmp_path_factory.mktemp("probe"), threshold=0.0), CPU)
    dark, light = (np.full((64, 64, 3), value, np.uint8) for value in (10, 240))
    with torch.inference_mode():
        scores = {name: probe.look(each)["concept"].margin for name, each in (("dark", dark), ("light", light))}
    folder = save_checker(tmp_path_factory.mktemp("two minds"), threshold=sum(scores.values()) / 2)
    flagged, fine = (dark, light) if scores["dark"] > scores["light"] else (light, dark)
    return folder, flagged, fine


def starting_from(picture: np.ndarray, name: str, **changes: bool) -> GenerateCommand:
    spec = a_spec(start=StartImage(sha256=name * 64, strength=0.5))
    png = encode_png(picture.tobytes(), (64, 64))
    return an_order(spec, image_id=f"{name}-0", check_safety=True, start_png=png, **changes)


def test_a_flagged_start_picture_is_not_used(
    toy_folder: Path, of_two_minds: tuple[Path, np.ndarray, np.ndarray]
) -> None:
    folder, flagged, fine = of_two_minds
    engine = checked_engine(toy_folder, folder)
    asked = []
    [checker] = engine._models.get("toy").checkers
    look = checker.look
    checker.look = lambda picture: asked.append(1) or look(picture)  # type: ignore[method-assign,func-returns-value]
    refused = paint(engine, starting_from(flagged, "a", keeps_for_review=True))
    assert (refused.withheld, refused.is_start_flagged, refused.evaluations, refused.pixels) == (True, True, 0, b"")
    assert refused.review_jpeg
    assert set(refused.safety_scores) == {f"start {name}" for name in ALL_SCORES}
    assert engine.rows_run == 0, "nothing was painted"
    paint(engine, starting_from(flagged, "a"))
    assert len(asked) == 1, "of several images from one picture, the first asks"
    assert not paint(engine, starting_from(fine, "b")).is_start_flagged
    shown = paint(engine, starting_from(flagged, "a", shows_flagged=True))
    assert (shown.withheld, shown.flagged, bool(shown.pixels)) == (False, True, True)
    upscale = a_spec(upscale=Upscale(sha256="c" * 64))
    png = encode_png(flagged.tobytes(), (64, 64))
    assert paint(engine, an_order(upscale, image_id="c-0", check_safety=True, start_png=png)).is_start_flagged


def test_a_flagged_picture_of_a_controlnet_is_not_used(
    toy_folder: Path, of_two_minds: tuple[Path, np.ndarray, np.ndarray]
) -> None:
    """The picture itself is looked at, not the edges that are made of it; the start picture too."""
    folder, flagged, fine = of_two_minds
    engine = checked_engine(toy_folder, folder)
    pngs = [encode_png(each.tobytes(), (64, 64)) for each in (fine, flagged)]

    def order(name: str, start: bytes | None, *guides: bytes) -> GenerateCommand:
        controls = tuple(
            Control(network="net", network_sha256="f" * 64, sha256=f"{pngs.index(each)}" * 64, preprocessor="canny")
            for each in guides
        )
        own = StartImage(sha256="d" * 64, strength=0.5) if start is not None else None
        spec = a_spec(control=controls, start=own)
        return an_order(spec, image_id=name, check_safety=True, control_pngs=guides, start_png=start)

    for name, asked in (("a-0", order("a-0", None, pngs[1])), ("b-0", order("b-0", *pngs))):
        refused = paint(engine, asked)
        assert (refused.withheld, refused.is_start_flagged, refused.evaluations) == (True, True, 0), name
    assert engine.rows_run == 0
    through = ends(run(engine, order("c-0", pngs[0], pngs[0])))["c-0"]
    assert isinstance(through, ImageFailed), "that ControlNet is not here: it came as far as that"


def test_a_verdict_on_two_pictures_is_the_worse_of_both() -> None:
    fine, bad = SafetyVerdict(True, {"a": -0.5, "b": 0.1}), SafetyVerdict(False, {"a": 0.5}, is_certain=False)
    both = SafetyVerdict(False, {"a": 0.5, "b": 0.1}, is_certain=False)
    assert fine.joined(bad) == bad.joined(fine) == both
    assert fine.joined(SafetyVerdict(False, {}, is_forbidden=True)).is_forbidden
