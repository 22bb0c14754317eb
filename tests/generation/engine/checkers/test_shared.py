"""The checkers of all models: they score as their references do, and keep none of the harmless pictures back."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from bench._harmless import drawing, painted, photograph
from generation.engine.checkers import shared
from generation.engine.checkers.shared import CLASSES, NsfwjsChecker, OpenNsfwChecker, load_shared
from generation.engine.checkers.verdict import look_with
from generation.errors import ConfigurationError
from generation.safety.strictness import Strictness
from generation.safety.verdict import judge
from generation.workers.engine_settings import CheckerThresholds

REFERENCE = json.loads(Path(__file__).with_name("nsfwjs_scores.json").read_text())
"""By name of the picture: the start of its pixels' SHA-256, and what nsfwjs 4.3.0 says of it (`nsfwjs_scores.mjs`)."""
PAINTED = dict(painted())
TOLERANCE = 1e-4
ROOT = Path(__file__).resolve().parents[4]


def picture_of(name: str) -> np.ndarray:
    return PAINTED[name] if name in PAINTED else photograph(int(name.split()[1]))


@pytest.fixture(scope="module")
def nsfwjs() -> NsfwjsChecker:
    _, checker = load_shared(CheckerThresholds())
    assert isinstance(checker, NsfwjsChecker)
    return checker


def furthest(nsfwjs: NsfwjsChecker, name: str, picture: np.ndarray) -> float:
    """Return the largest difference to the reference of any class."""
    found = nsfwjs.classify(picture)
    return max(abs(found[each] - score) for each, score in zip(CLASSES, REFERENCE[name][1:], strict=True))


@pytest.mark.parametrize("name", REFERENCE)
def test_nsfwjs_scores_as_its_reference_does(nsfwjs: NsfwjsChecker, name: str) -> None:
    picture = picture_of(name)
    assert hashlib.sha256(picture.tobytes()).hexdigest()[:16] == REFERENCE[name][0], "the picture is another one"
    assert furthest(nsfwjs, name, picture) < TOLERANCE


def test_the_comparison_sees_swapped_channels_and_another_resize(
    nsfwjs: NsfwjsChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [name for name in REFERENCE if name.startswith("photograph")]
    assert all(furthest(nsfwjs, name, picture_of(name)[..., ::-1]) > TOLERANCE for name in names)
    resized = {
        name: np.asarray(Image.fromarray(picture_of(name)).resize((224, 224), Image.Resampling.BILINEAR))
        for name in names
    }
    assert sum(furthest(nsfwjs, name, resized[name]) > TOLERANCE for name in names) > len(names) / 2


def reference_open_nsfw(picture: np.ndarray, *, is_swapped: bool = False) -> float:
    """Yahoo's own preparation: 256x256, once through JPEG, the middle 224x224, blue first, less the means."""
    small = Image.fromarray(picture).resize((256, 256), Image.Resampling.BILINEAR).crop((16, 16, 240, 240))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG")
    rgb = np.asarray(Image.open(buffer), np.float32)
    bgr = (rgb if is_swapped else rgb[..., ::-1]) - np.array([104, 117, 123], np.float32)
    classifier, _ = shared._load_networks()
    session: onnxruntime.InferenceSession = classifier._session
    (found,) = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(bgr)[None]})
    return float(found[0][1])


def test_open_nsfw_scores_as_its_reference_does() -> None:
    checker, _ = load_shared(CheckerThresholds(open_nsfw=0.25))
    assert isinstance(checker, OpenNsfwChecker)
    pictures = [picture_of(name) for name in list(REFERENCE)[-8:]]
    scores = [checker.look(picture)["open_nsfw"].margin + 0.25 for picture in pictures]
    assert scores == pytest.approx([reference_open_nsfw(picture) for picture in pictures], abs=TOLERANCE)
    swapped = [reference_open_nsfw(picture, is_swapped=True) for picture in pictures]
    assert sum(abs(score - other) > TOLERANCE for score, other in zip(scores, swapped, strict=True)) > 4


def test_harmless_pictures_are_not_kept_back() -> None:
    """Forty of the 200 that `python -m bench checker` looks at; among them those nearest to a threshold."""
    pictures = [*list(PAINTED.values())[:8], *map(drawing, (*range(11), 60)), *map(photograph, range(0, 88, 5))]
    pictures += [photograph(index) for index in (24, 69, 66)]
    checkers = load_shared(CheckerThresholds())
    scores = [look_with(checkers, picture) for picture in pictures]
    assert len(scores) > 40
    assert sum(not judge(each).is_safe for each in scores) == 0
    assert any(not judge(each, Strictness.STRICTEST).is_safe for each in scores), "the control: lower thresholds do"


def test_a_server_can_only_lower_the_thresholds() -> None:
    checkers = load_shared(CheckerThresholds())
    scores = look_with(checkers, photograph(24))
    usual, strict, strictest = (judge(scores, each).scores for each in Strictness)
    assert all(usual[name] < strict[name] < strictest[name] for name in scores)
    assert strictest["porn"] - usual["porn"] == pytest.approx(0.95 / 2, abs=1e-4)


def test_a_threshold_of_the_operator_keeps_back() -> None:
    thresholds = CheckerThresholds(porn=0.5)
    assert not judge(look_with(load_shared(thresholds), photograph(24))).is_safe


def test_a_network_that_is_not_the_one_of_this_release_is_not_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "nsfwjs.onnx"
    other.write_bytes(shared.NSFWJS.read_bytes()[:-1] + b"!")
    monkeypatch.setattr(shared, "_load_networks", shared._load_networks.__wrapped__)
    for wrong in (other, tmp_path / "missing.onnx"):
        monkeypatch.setattr(shared, "NSFWJS", wrong)
        with pytest.raises(ConfigurationError, match=r"safety checkers cannot be loaded.*ATELIER_SAFETY_CHECKER=false"):
            load_shared(CheckerThresholds())


def test_networks_are_read_once_a_process() -> None:
    assert shared._load_networks() is shared._load_networks()


def test_nothing_is_left_at_home_and_nothing_reported(tmp_path: Path) -> None:
    """Some releases of onnxruntime keep an id of the machine there, and report to their maker."""
    code = (
        "import os; from generation.engine.checkers.shared import load_shared, CheckerThresholds;"
        "load_shared(CheckerThresholds()); print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.strip(), list(tmp_path.iterdir())) == ("1", []), done.stderr
