"""The files of a model decide how it is sampled; settings that no sampler can use are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cli import models
from generation.engine.engine import Engine
from generation.engine.model_folder import ModelFolder
from generation.engine.samplers import check_samplers
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.models.layout import ModelRefusedError, check_model, read_scheduler
from generation.models.safetensors_header import Tensors
from generation.models.scheduler_config import Stated, check_settings, merge_settings, read_stated
from generation.requests.samplers import SAMPLERS
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, a_start, an_order, as_array, paint
from tests.generation.engine.test_stock import MAX_LEVELS_APART, levels_apart, load_stock
from tests.generation.engine.toy import save_toy, toy_model
from tests.generation.engine.toy_checkpoint import save_checkpoint
from tests.generation.engine.trial_here import require_loadable_here

V = {"prediction_type": "v_prediction"}
ZERO_SNR = {**V, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
MARKED_V, MARKED_ZERO_SNR = {"v_pred": torch.tensor([])}, {"v_pred": torch.tensor([]), "ztsnr": torch.tensor([])}


def with_settings(folder: Path, to: Path, **settings: Any) -> Path:
    """Copy a toy folder with other scheduler settings."""
    copy = Path(shutil.copytree(folder, to))
    file = copy / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
    return copy


def checkpoint(
    folder: Path, file: Path, marks: dict[str, torch.Tensor] | None = None, metadata: dict[str, str] | None = None
) -> Path:
    """Write the weights of a toy folder into one file, with metadata that such a file may have."""
    save_file({**load_file(save_checkpoint(folder, file)), **(marks or {})}, file, metadata)
    return file


def painted(path: Path, **options: Any) -> np.ndarray:
    engine = Engine([toy_model(path, **options)], EngineSettings(num_threads=1))
    return as_array(paint(engine, an_order(a_spec(sampler="Euler"))))


@pytest.mark.parametrize(
    ("marks", "metadata", "prediction", "settings"),
    [
        (MARKED_V, None, "", V),
        (MARKED_ZERO_SNR, None, "", ZERO_SNR),
        (None, {"modelspec.prediction_type": "v"}, "", V),
        (None, {"modelspec.prediction_type": "V-Prediction"}, "", V),
        (None, {"modelspec.architecture": "stable-diffusion-v2-768-v"}, "", V),
        (None, None, "v_prediction", V),
        (MARKED_ZERO_SNR, None, "v_prediction", ZERO_SNR),
        (MARKED_ZERO_SNR, None, "epsilon", {}),
        (None, {"modelspec.prediction_type": "epsilon"}, "", {}),
        ({"ztsnr": torch.tensor([])}, None, "", {}),
        (None, None, "", {}),
    ],
    ids=str,
)
def test_a_single_file_is_sampled_like_a_folder_with_its_settings(
    toy_folder: Path, tmp_path: Path, marks: Any, metadata: Any, prediction: str, settings: dict[str, Any]
) -> None:
    file = checkpoint(toy_folder, tmp_path / "file.safetensors", marks, metadata)
    folder = with_settings(toy_folder, tmp_path / "folder", **settings)
    ours = painted(file, config=toy_folder, prediction=prediction)
    assert np.array_equal(ours, painted(folder))
    assert np.array_equal(ours, painted(toy_folder)) == (not settings), "the control"


@pytest.mark.parametrize(
    "sampler", ["Euler", *(pytest.param(each, marks=pytest.mark.long) for each in SAMPLERS if each != "Euler")]
)
@pytest.mark.parametrize("start", [None, pytest.param(a_start(), marks=pytest.mark.long)], ids=["text", "picture"])
def test_zero_snr_matches_the_stock_pipeline(toy_folder: Path, tmp_path: Path, sampler: str, start: Any) -> None:
    folder = with_settings(toy_folder, tmp_path / "folder", **ZERO_SNR)
    engine = Engine([toy_model(folder)], EngineSettings(num_threads=1))
    spec = a_spec(sampler=sampler, start=start, steps=5)
    assert levels_apart(engine, load_stock(folder), spec) <= MAX_LEVELS_APART


def test_a_marked_file_matches_the_stock_pipeline(toy_folder: Path, tmp_path: Path) -> None:
    file = checkpoint(toy_folder, tmp_path / "file.safetensors", MARKED_ZERO_SNR)
    folder = with_settings(toy_folder, tmp_path / "folder", **ZERO_SNR)
    engine = Engine([toy_model(file, config=toy_folder)], EngineSettings(num_threads=1))
    assert levels_apart(engine, load_stock(folder), a_spec(sampler="Euler")) <= MAX_LEVELS_APART


def test_the_file_wins_over_the_folder_and_the_operator_over_both() -> None:
    folder = {"prediction_type": "v_prediction", "timestep_spacing": "leading"}
    assert merge_settings(folder, Stated()) == folder
    assert merge_settings(folder, Stated("epsilon"))["prediction_type"] == "epsilon"
    assert merge_settings(folder, Stated("epsilon"), "v_prediction") == folder
    assert merge_settings(ZERO_SNR, Stated(), "epsilon")["rescale_betas_zero_snr"] is False


@pytest.mark.parametrize(
    ("key", "metadata", "said"),
    [
        ("edm_mean", {}, "was trained for EDM sampling (edm_mean), which is not supported"),
        ("edm_vpred.sigma_max", {}, "was trained for EDM sampling (edm_vpred.sigma_max), which is not supported"),
        ("x", {"modelspec.prediction_type": "flow"}, "only epsilon and v are supported"),
    ],
)
def test_a_file_that_cannot_be_sampled_is_refused(key: str, metadata: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(").replace(")", r"\)")):
        read_stated(Tensors({key: (1,)}, metadata))


REFUSED: dict[str, Any] = {
    "beta sigmas": {"use_beta_sigmas": True},
    "exponential sigmas": {"use_exponential_sigmas": True},
    "Karras beside another": {"use_karras_sigmas": True, "use_exponential_sigmas": True},
    "flow sigmas": {"use_flow_sigmas": True},
    "shifted by size": {"use_dynamic_shifting": True},
    "sample": {"prediction_type": "sample"},
    "flow": {"prediction_type": "flow_prediction"},
    "no word": {"prediction_type": 7},
    "zero SNR, epsilon": {"rescale_betas_zero_snr": True},
    "zero SNR, epsilon, trailing": {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
    "betas": {"beta_schedule": "sigmoid"},
    "spacing": {"timestep_spacing": "odd"},
    "interpolation": {"interpolation_type": "cubic"},
    "final sigmas": {"final_sigmas_type": "odd"},
    "solver": {"solver_type": "bh1"},
    "order": {"solver_order": 0},
    "timesteps": {"num_train_timesteps": "1000"},
    "too few timesteps": {"num_train_timesteps": 4},
    "no noise": {"beta_start": 0},
    "too much noise": {"beta_end": 2},
    "own betas": {"trained_betas": [0.1] * 10},
    "variance": {"variance_type": "learned_range"},
    "offset": {"steps_offset": 5000},
    "last order": {"lower_order_final": False},
    "no prediction of x0": {"predict_x0": False},
    "a scheduler in it": {"solver_p": 7},
    "LCM": {"original_inference_steps": 2},
    "null": {"use_beta_sigmas": None},
    "quantile": {"thresholding": True, "dynamic_thresholding_ratio": 9},
}
ACCEPTED: dict[str, Any] = {
    "as it is": {},
    "v": V,
    "zero SNR": ZERO_SNR,
    "zero SNR, leading": {**V, "rescale_betas_zero_snr": True},
    "Karras": {"use_karras_sigmas": True},
    "Lu": {"use_lu_lambdas": True},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
    "no betas of its own": {"trained_betas": None, "solver_p": None},
    "XL": {"_class_name": "EulerDiscreteScheduler", "timestep_type": "discrete", "interpolation_type": "linear"},
    "1.5": {"_class_name": "PNDMScheduler", "skip_prk_steps": True, "set_alpha_to_one": False},
}


@pytest.mark.parametrize("settings", REFUSED.values(), ids=REFUSED)
def test_settings_no_sampler_can_use_are_refused(toy_folder: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    folder = with_settings(toy_folder, tmp_path / "folder", **settings)
    with pytest.raises(ValueError, match="sampler"):
        check_samplers(json.loads((folder / "scheduler" / "scheduler_config.json").read_text()))
    with pytest.raises(ModelRefusedError, match=r"its scheduler [^.]+\..* Change scheduler_config.json") as refused:
        check_model(folder, "sd")
    assert "\n" not in str(refused.value)
    with pytest.raises(ModelRefusedError):
        models.add(tmp_path / "models", str(folder), say=lambda line: None)
    assert not (tmp_path / "models" / "models.json").exists()


@pytest.mark.parametrize("settings", ACCEPTED.values(), ids=ACCEPTED)
def test_settings_every_sampler_can_use_are_accepted(toy_folder: Path, settings: dict[str, Any]) -> None:
    merged = {**read_scheduler(toy_folder, "sd"), **settings}
    check_settings(merged)
    check_samplers(merged)


@pytest.mark.parametrize("name", ["FlowMatchEulerDiscreteScheduler", "EDMEulerScheduler", 5])
def test_a_scheduler_of_another_kind_of_model_is_refused(name: Any) -> None:
    with pytest.raises(ValueError, match="which describes another kind of model"):
        check_settings({"_class_name": name})


def test_a_trial_load_finds_unknown_scheduler_errors(toy_folder: Path, tmp_path: Path) -> None:
    folder = with_settings(toy_folder, tmp_path / "folder", disable_corrector=3)
    check_model(folder, "sd")
    with pytest.raises(ModelRefusedError, match="its scheduler does not work with the sampler UniPC"):
        ModelFolder(folder, "sd")


def test_a_folder_without_scheduler_settings_is_refused(toy_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(toy_folder, tmp_path / "folder", ignore=shutil.ignore_patterns("scheduler")))
    with pytest.raises(ModelRefusedError, match=r"has no scheduler/scheduler_config\.json"):
        check_model(folder, "sd")


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    monkeypatch.setattr(models, "require_loadable", require_loadable_here)

    def run(path: Path, **options: Any) -> list[str]:
        said: list[str] = []
        models.add(tmp_path / "models", str(path), say=said.append, **options)
        return said

    return run


@pytest.mark.parametrize(
    ("marks", "prediction", "line"),
    [
        (MARKED_V, None, "It is painted as predicting v, as the file says (v_pred)."),
        (MARKED_ZERO_SNR, None, "It is painted as predicting v, with zero terminal SNR, as the file says (v_pred)."),
        (None, "v", "It is painted as predicting v, as you say."),
        (MARKED_V, "epsilon", "It is painted as predicting epsilon, as you say."),
        (None, None, "the file itself does not say. Should its pictures be noise, add it again with --prediction v."),
    ],
)
def test_adding_reports_the_prediction_type_and_its_source(
    toy_folder: Path, tmp_path: Path, add: Callable[..., list[str]], marks: Any, prediction: str | None, line: str
) -> None:
    file = checkpoint(toy_folder, tmp_path / "file.safetensors", marks)
    said = add(file, config=str(toy_folder), prediction=prediction)
    assert any(each.endswith(line) for each in said), said
    model = Catalog.open("file", tmp_path / "models").default
    expected = {"v": "v_prediction", "epsilon": "epsilon", None: ""}[prediction]
    assert model.prediction == expected, "only what the operator says is recorded: the file speaks for itself"


def test_the_prediction_of_a_folder_can_be_overridden(
    toy_folder: Path, tmp_path: Path, add: Callable[..., list[str]]
) -> None:
    said = add(toy_folder, name="model", prediction="v")
    assert "It is painted as predicting v, as you say." in said
    model = Catalog.open("model", tmp_path / "models").default
    engine = Engine([model], EngineSettings(num_threads=1))
    ours = as_array(paint(engine, an_order(a_spec(model="model", sampler="Euler"))))
    assert np.array_equal(ours, painted(with_settings(toy_folder, tmp_path / "v", **V)))


@pytest.mark.parametrize(
    ("prediction", "said"), [("sample", "'sample' is not what a model predicts. Use v or epsilon."), ("", "Use v or")]
)
def test_an_unknown_prediction_is_refused(
    toy_folder: Path, add: Callable[..., list[str]], prediction: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        add(toy_folder, prediction=prediction)


@pytest.mark.parametrize(
    ("sample_size", "native_px"), [(96, 768), (128, 1024), (64, 512), (8, 512), (None, 512), ("96", 512), (10**9, 512)]
)
def test_a_model_is_offered_at_the_size_it_was_trained_at(
    toy_folder: Path, tmp_path: Path, add: Callable[..., list[str]], sample_size: Any, native_px: int
) -> None:
    folder = Path(shutil.copytree(toy_folder, tmp_path / "sized"))
    settings = folder / "unet" / "config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "sample_size": sample_size}))
    assert Catalog.open(str(folder)).default.defaults.native_px == native_px
    add(checkpoint(toy_folder, tmp_path / "file.safetensors"), config=str(folder))
    assert Catalog.open("file", tmp_path / "models").default.defaults.native_px == native_px


@pytest.mark.parametrize(
    ("resolution", "native_px"),
    [("768x768", 768), ("1152x896", 1024), ("768", 512), ("0x0", 512), ("9999x9999", 512), ("10x10", 512)],
)
def test_a_file_may_say_the_size_it_was_trained_at(
    toy_folder: Path, tmp_path: Path, add: Callable[..., list[str]], resolution: str, native_px: int
) -> None:
    file = checkpoint(toy_folder, tmp_path / "file.safetensors", metadata={"modelspec.resolution": resolution})
    add(file, config=str(toy_folder))
    assert Catalog.open("file", tmp_path / "models").default.defaults.native_px == native_px


def test_the_hash_of_a_model_does_not_depend_on_what_it_predicts(tmp_path: Path) -> None:
    folder = save_toy(tmp_path)
    hashes = {
        Engine([toy_model(folder, prediction=said)], EngineSettings(num_threads=1)).model_sha256["toy"]
        for said in ("", "v_prediction", "epsilon")
    }
    assert len(hashes) == 1
