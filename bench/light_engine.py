"""An engine without a model: arithmetic on the spec gives the pixels, at once. Same worker and protocol, no torch.

For the parts of the system that are not about painting: contract tests, crash tests, load tests. A prompt may hold
one of a few words that make it misbehave, as a real engine can: see `LightEngine.step`.
"""

from __future__ import annotations

import hashlib
import io
import os
import signal
import threading
import time
from collections.abc import Iterable, Mapping

import msgspec
from PIL import Image

from generation.errors import ConfigurationError, UnknownModelError
from generation.failpoints import reached
from generation.images.codec import decode_png
from generation.jobs.protocol import (
    Cancel,
    Cancelled,
    Event,
    Finished,
    GenerateCommand,
    ImageFailed,
    ModelsReport,
    Preview,
    Progress,
)
from generation.models.catalog import Model
from generation.progress import advance
from generation.requests.recipe import Fingerprint, Trace
from generation.safety.checker_trust import SHARED
from generation.workers.engine_settings import EngineSettings

ENGINE = "bench.light_engine:LightEngine"
PACED_ENGINE = "bench.light_engine:PacedEngine"
PACE_S = 0.1
"""What each turn of the paced engine takes."""
LOAD_S = 4.0
BUCKET = 4


def _grey_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(buffer, "JPEG")
    return buffer.getvalue()


_REVIEW_JPEG = _grey_jpeg()


class LightEngine:
    """Advances up to four images per evaluation, in admission order. Accepts any model but one named `unfit`.

    Words in a prompt: `crash-worker` kills the process, `hang-worker` never returns, `break-image` fails that image,
    `withhold-image` is kept back by the safety check, `endless-image` never gets finished, `print-noise` prints,
    `load-slowly` gets on for `LOAD_S` without an event.
    """

    def __init__(self, models: Iterable[Model], settings: EngineSettings) -> None:
        models = list(models)
        if any(model.name == "unfit" for model in models):
            raise ConfigurationError(problem="The model “unfit” cannot be loaded.", remedy="It was made so.")
        self.num_slots = settings.num_slots or 16
        self.fingerprint = Fingerprint({"engine": "light"})
        self.model_sha256: Mapping[str, str] = {
            model.name: hashlib.sha256(model.name.encode()).hexdigest() for model in models
        }
        self._is_choosy = False
        """Whether models that it was not told of are refused."""
        self._orders: dict[str, GenerateCommand] = {}
        self._done: dict[str, int] = {}

    @property
    def is_idle(self) -> bool:
        return not self._orders

    def admit(self, order: GenerateCommand) -> None:
        self._orders[order.image_id] = order
        self._done[order.image_id] = 0

    def cancel(self, cancel: Cancel) -> list[Event]:
        order = self._orders.get(cancel.image_id)
        if order is None or order.attempt != cancel.attempt:
            return []
        return [Cancelled(image_id=cancel.image_id, attempt=cancel.attempt, evaluations=self._drop(order))]

    def step(self) -> list[Event]:
        """Run one evaluation of the oldest images, and end those that had their last."""
        events: list[Event] = []
        sharing = list(self._orders.values())[:BUCKET]
        for order in sharing:
            events.extend(self._advance(order, capacity_rows=BUCKET / len(sharing)))
        return events

    def tune(self) -> bool:
        return False

    def update(self, models: tuple[Model, ...]) -> None:
        self.model_sha256 = {model.name: hashlib.sha256(model.name.encode()).hexdigest() for model in models}
        self._is_choosy = True

    def report(self) -> ModelsReport:
        return ModelsReport(model_sha256=dict(self.model_sha256))

    def close(self) -> None:
        self._orders.clear()

    def _advance(self, order: GenerateCommand, *, capacity_rows: float) -> Iterable[Event]:
        prompt, image_id, attempt = order.spec.prompt, order.image_id, order.attempt
        _misbehave(prompt)
        if "break-image" in prompt:
            self._drop(order)
            return [ImageFailed(image_id=image_id, attempt=attempt, error="Failed", message="It broke, as asked.")]
        if self._is_choosy and self._done[image_id] == 0 and order.spec.model not in self.model_sha256:
            self._drop(order)
            code = UnknownModelError.code
            return [ImageFailed(image_id=image_id, attempt=attempt, error=code, message="There is no such model.")]
        total = order.spec.num_evaluations if order.painted_png is None else 0
        if self._done[order.image_id] < total:
            self._done[order.image_id] += 1
            done = self._done[order.image_id]
            if "endless-image" in prompt:
                done = self._done[order.image_id] = min(done, total - 1)
                threading.Event().wait(0.001)  # leaves the processor to those it shares it with
            progress = Progress(
                image_id=image_id, attempt=attempt, done=done, total=total, rows=1, capacity_rows=capacity_rows
            )
            return [progress, *_previews(order, done, total)]
        self._drop(order)
        return [finish(order)]

    def _drop(self, order: GenerateCommand) -> int:
        del self._orders[order.image_id]
        return self._done.pop(order.image_id)


class PacedEngine(LightEngine):
    """The same at a steady speed, like a graphics card: for load that must exceed it."""

    def step(self) -> list[Event]:
        threading.Event().wait(PACE_S)
        return super().step()


def light_pixels(order: GenerateCommand) -> bytes:
    """Return the picture of a command: RGB8 rows that depend on the whole spec, and on nothing else."""
    width, height = order.spec.result_size_px
    seed = hashlib.sha256(msgspec.json.encode(order.spec, order="sorted")).digest()
    row = (seed * (3 * width // len(seed) + 1))[: 3 * width]
    return row * height


def _misbehave(prompt: str) -> None:
    if "crash-worker" in prompt:
        os.kill(os.getpid(), signal.SIGKILL)
    if "load-slowly" in prompt:
        ends_at = time.monotonic() + LOAD_S
        while time.monotonic() < ends_at:
            advance()
            threading.Event().wait(0.01)
    if "hang-worker" in prompt:
        threading.Event().wait()
    if "print-noise" in prompt:
        print("noise that must not reach the wire")


def _previews(order: GenerateCommand, done: int, total: int) -> list[Event]:
    is_due = order.num_previews > 0 and done == max(1, total // 2)
    return [Preview(image_id=order.image_id, attempt=order.attempt, jpeg=b"\xff\xd8light")] if is_due else []


def finish(order: GenerateCommand) -> Finished:
    """Return the end of an image, as of now."""
    pixels = light_pixels(order) if order.painted_png is None else decode_png(order.painted_png)[0]
    reached("rendered")
    flagged = order.check_safety and "withhold-image" in order.spec.prompt
    withheld = flagged and not order.shows_flagged
    reached("checked")
    width, height = order.spec.result_size_px
    evaluations = order.spec.num_evaluations
    return Finished(
        image_id=order.image_id,
        attempt=order.attempt,
        width_px=width,
        height_px=height,
        pixels=b"" if withheld else pixels,
        trace=str(Trace.of([BUCKET] * evaluations)),
        evaluations=evaluations,
        withheld=withheld,
        flagged=flagged,
        safety_scores=dict.fromkeys(sorted(SHARED), 0.5 if flagged else -0.5) if order.check_safety else {},
        review_jpeg=_REVIEW_JPEG if withheld and order.keeps_for_review else b"",
    )
