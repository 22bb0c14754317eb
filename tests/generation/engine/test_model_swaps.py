"""Models that take turns on a card: the server whose picture changes the model pays for the copy of its weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from generation.engine.engine import Engine
from generation.engine.models import LoadedModel
from generation.engine.slot import Slot
from generation.jobs.protocol import Share
from generation.requests.cost import price_move
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, run
from tests.generation.engine.toy import toy_model


def test_only_offloading_a_whole_network_costs_a_copy(toy_folder: Path) -> None:
    engine = Engine([toy_model(toy_folder)], EngineSettings(num_threads=1))
    model, device, settings = toy_model(toy_folder), engine._device, EngineSettings()
    charges = {
        mode: LoadedModel(model, replace(device, memory=mode), settings).move_charge
        for mode in ("full", "sliced", "offload")
    }
    unet = engine._models.get("toy").family.denoiser
    assert charges == {"full": 0, "sliced": 0, "offload": price_move(4 * sum(p.numel() for p in unet.parameters()))}
    assert charges["offload"] > 0


def test_the_server_that_changes_the_model_pays_for_its_copy(toy_folder: Path) -> None:
    engine = Engine([toy_model(toy_folder, name=name) for name in ("one", "two")], EngineSettings(num_threads=1))
    for guild_id, name in enumerate(("one", "two"), start=1):
        engine._models.get(name).move_charge = 1_000_000
        order = an_order(a_spec(model=name, steps=4), image_id=f"{name}-0", share=Share(guild_id))
        engine.admit(order)
    first, second = (slot for slot in engine._slots.values() if isinstance(slot, Slot))
    schedule, models = engine._schedule_of_steps, list[str]()
    while len(set(models)) < 2:
        before = {slot.order.spec.model: schedule._get_counter(slot) for slot in (first, second)}
        [picked] = schedule.pick([first, second], lambda leader: 2)
        models.append(picked.order.spec.model)
    paid = schedule._get_counter(picked) - before[models[-1]]
    assert paid == picked.charge + 1_000_000
    assert len(run(engine)) > 0
