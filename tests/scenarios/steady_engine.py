"""The light engine at a walking pace: fast enough for tests, slow enough to press Cancel."""

from __future__ import annotations

import io
import time

from PIL import Image

from bench.light_engine import LightEngine
from generation.jobs.protocol import Event, Preview

ENGINE = "tests.scenarios.steady_engine:SteadyEngine"
EVALUATION_S = 0.004


class SteadyEngine(LightEngine):
    """Each turn takes a few milliseconds; previews are real JPEGs. A prompt with `slow-image` takes its time."""

    def step(self) -> list[Event]:
        slow = any("slow-image" in order.spec.prompt for order in self._orders.values())
        time.sleep(EVALUATION_S * (25 if slow else 1))
        return [_with_real_jpeg(event) for event in super().step()]


def _with_real_jpeg(event: Event) -> Event:
    if not isinstance(event, Preview):
        return event
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), "#7a5cff").save(buffer, "JPEG")
    return Preview(image_id=event.image_id, attempt=event.attempt, jpeg=buffer.getvalue())
