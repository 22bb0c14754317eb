"""A checkpoint in one file, from `models add` to a picture in #general: real code all the way, at toy size."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from cli import models
from generation.jobs.job import Status
from generation.workers.frames import DEFAULT_ENGINE
from tests.generation.engine.toy import REAL, save_toy
from tests.generation.engine.toy_checkpoint import save_checkpoint
from tests.generation.engine.trial_here import require_loadable_here
from tests.scenarios.bot_harness import LivingBot, People, judged
from tests.tally import Tally

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers


async def test_one_line_adds_it_and_members_paint_with_it_in_any_channel(
    tally: Tally, tmp_path: Path, blank_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "require_loadable", require_loadable_here)
    whole = load_file(save_checkpoint(save_toy(tmp_path, sizes=REAL), tmp_path / "whole.safetensors"))
    half = {name: each.half() if each.is_floating_point() else each for name, each in whole.items()}
    save_file(half, tmp_path / "some-sd15.safetensors")
    models.add(tmp_path / "models", str(tmp_path / "some-sd15.safetensors"), say=lambda line: None)
    data = tmp_path / "data"
    data.mkdir()
    async with judged(tally) as discord:
        people = People.settle(discord)
        bot = LivingBot(discord, data, blank_database, engine=DEFAULT_ENGINE, models_dir=tmp_path / "models")
        await bot.start()
        try:
            choices = {"model": "some-sd15", "steps": 2, "size": "64x64", "seed": 7}
            job = await bot.ended(await people.ada.slash("imagine", prompt="a harbour", **choices))
            [image] = job.images
            assert (image.status, image.spec.model) == (Status.DONE, "some-sd15")
            assert image.judgement is not None and {"open_nsfw", "porn"} <= image.judgement.margins.keys()
        finally:
            await bot.stop()
