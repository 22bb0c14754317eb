"""Which samplers a model offers: those that begin where its noise does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from generation.errors import InvalidRequestError
from generation.models.catalog import Catalog
from generation.requests.samplers import SAMPLERS, list_samplers
from generation.requests.spec import GenerationRequest, ImageSpec, Replay
from generation.scheduling.new_job import require_paintable
from tests.generation.engine.toy import save_toy

ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


def test_heun_and_plms_are_not_for_models_of_zero_terminal_snr(tmp_path: Path) -> None:
    folder = save_toy(tmp_path, prediction_type="v_prediction")
    assert set(Catalog.open(str(folder)).default.samplers) == set(SAMPLERS)
    file = folder / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | ZERO_SNR))
    model = Catalog.open(str(folder)).default
    assert set(SAMPLERS) - set(model.samplers) == {"Heun", "PLMS"}
    spec = ImageSpec.for_model(model, prompt="a", seed=1, sampler="Heun", steps=2, guidance=1.0)
    with pytest.raises(InvalidRequestError, match="“Heun” does not work with the model") as refused:
        require_paintable(GenerationRequest(spec=spec), Catalog((model,)))
    assert "Euler SGM Uniform" in str(refused.value)
    old = GenerationRequest(spec=spec, replay=Replay(trace="1x3", pixels_sha256="0" * 64))
    require_paintable(old, Catalog((model,)))


def test_every_sampler_of_flow_models_has_a_name_that_others_know() -> None:
    assert set(list_samplers(is_flow=True)) < set(list_samplers(is_flow=False)) == set(SAMPLERS)
