"""The light engine, out of memory for a prompt that holds `too-large`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bench.light_engine import LightEngine
from generation.errors import OutOfMemoryError
from generation.jobs.protocol import Event, GenerateCommand, ImageFailed

ENGINE = "tests.cli.failing_engine:FailingEngine"


class FailingEngine(LightEngine):
    def _advance(self, order: GenerateCommand, **options: Any) -> Iterable[Event]:
        if "too-large" not in order.spec.prompt:
            return super()._advance(order, **options)
        self._drop(order)
        code = OutOfMemoryError.code
        return [ImageFailed(image_id=order.image_id, attempt=order.attempt, error=code, message="")]
