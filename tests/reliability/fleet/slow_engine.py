"""A light engine that takes its time: what is struck has to be under way."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from bench.light_engine import BUCKET, LightEngine
from generation.jobs.protocol import Event
from generation.models.catalog import Model
from generation.workers.engine_settings import EngineSettings

ENGINE = "tests.reliability.fleet.slow_engine:SlowEngine"
PACE_S = 0.15
SLOTS = 16
"""So many that one member has room for all that is under way."""


class SlowEngine(LightEngine):
    """Few turns, and long ones: on a busy machine the events of short ones cost more than all else. Images take turns:
    what is given to an engine that has some gets on with its next turn but one."""

    def __init__(self, models: Iterable[Model], settings: EngineSettings) -> None:
        super().__init__(models, settings)
        self.num_slots = SLOTS

    def step(self) -> list[Event]:
        threading.Event().wait(PACE_S)
        events = super().step()
        for image_id in list(self._orders)[:BUCKET]:
            self._orders[image_id] = self._orders.pop(image_id)
        return events
