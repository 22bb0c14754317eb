"""Which scheduler settings a model is sampled with, and which of them can work at all. Nothing is loaded, no torch.

Three sources, the later one wins: the folder's `scheduler_config.json`, what a single file says of itself (the keys
`v_pred` and `ztsnr`, as ComfyUI and the AUTOMATIC1111 web UI read them, or ModelSpec metadata), and the operator.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generation.models.safetensors_header import Tensors

EPSILON, V_PREDICTION = "epsilon", "v_prediction"
PREDICTIONS: Mapping[str, str] = {
    "epsilon": EPSILON,
    "eps": EPSILON,
    "v": V_PREDICTION,
    "v_prediction": V_PREDICTION,
    "vpred": V_PREDICTION,
    "v_pred": V_PREDICTION,
}
"""What a UNet predicts, by the words that files and people use for it."""

_V_ARCHITECTURES = ("stable-diffusion-v2-768-v",)
_EDM_KEYS = ("edm_mean", "edm_std", "edm_vpred.sigma_max", "edm_vpred.sigma_min")
_CLASSES = frozenset(
    f"{name}Scheduler"
    for name in (
        "DDIM",
        "DDPM",
        "DEISMultistep",
        "DPMSolverMultistep",
        "DPMSolverSDE",
        "DPMSolverSinglestep",
        "EulerAncestralDiscrete",
        "EulerDiscrete",
        "HeunDiscrete",
        "KDPM2AncestralDiscrete",
        "KDPM2Discrete",
        "LCM",
        "LMSDiscrete",
        "PNDM",
        "SASolver",
        "TCD",
        "UniPCMultistep",
    )
)
"""Those whose noise is described by a schedule of betas, as that of every sampler here is."""
_CHOICES: Mapping[str, tuple[object, ...]] = {
    "prediction_type": (EPSILON, V_PREDICTION),
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
    "timestep_spacing": ("leading", "linspace", "trailing"),
    "timestep_type": ("discrete",),
    "interpolation_type": ("linear", "log_linear"),
    "final_sigmas_type": ("zero", "sigma_min"),
    "use_beta_sigmas": (False,),
    "use_exponential_sigmas": (False,),
    "use_flow_sigmas": (False,),
    "use_dynamic_shifting": (False,),
    "use_karras_sigmas": (False, True),
    "rescale_betas_zero_snr": (False, True),
    "solver_type": ("midpoint", "heun", "logrho", "bh2"),
    "solver_order": (1, 2, 3),
    "lower_order_final": (True,),
    "predict_x0": (True,),
    "solver_p": (None,),
    "trained_betas": (None,),
}
"""The values that every sampler can work with. The others need a package that is not installed, contradict the Karras
sigmas that a sampler of ours sets, divide by zero, or belong to other kinds of models."""
_RANGES: Mapping[str, tuple[float, float]] = {
    "num_train_timesteps": (200, 10_000),
    "beta_start": (1e-6, 0.5),
    "beta_end": (1e-6, 0.5),
    "steps_offset": (0, 1),
    "original_inference_steps": (50, 200),
    "dynamic_thresholding_ratio": (0, 1),
}
"""The least and the greatest number that every sampler can work with."""
_FLOW_CLASSES = frozenset(("FlowMatchEulerDiscreteScheduler", "FlowMatchLCMScheduler"))
"""Those whose noise is a straight line from a picture, as that of the samplers of flow models is."""
_FLOW_CHOICES: Mapping[str, tuple[object, ...]] = {
    "num_train_timesteps": (1000,),
    "use_dynamic_shifting": (False, True),
    "time_shift_type": ("exponential", "linear"),
    "invert_sigmas": (False,),
    "use_karras_sigmas": (False, None),
    "use_exponential_sigmas": (False, None),
    "use_beta_sigmas": (False, None),
    "scale_factors": (None,),
}
_FLOW_RANGES: Mapping[str, tuple[float, float]] = {
    "shift": (0.01, 100),
    "base_shift": (0, 10),
    "max_shift": (0, 10),
    "base_image_seq_len": (1, 100_000),
    "max_image_seq_len": (2, 100_000),
    "shift_terminal": (0, 0.9),
}


@dataclass(frozen=True, slots=True)
class Stated:
    """What a single file says of itself: what it predicts ("" if it does not say), where, and its noise schedule."""

    prediction: str = ""
    source: str = ""
    is_zero_snr: bool = False


def read_stated(tensors: Tensors) -> Stated:
    """Return what the header of a checkpoint says. Raise `ValueError` (to follow its name) if it cannot be sampled."""
    if edm := next((key for key in _EDM_KEYS if key in tensors.shapes), None):
        raise ValueError(f"was trained for EDM sampling ({edm}), which is not supported")
    if "v_pred" in tensors.shapes:
        return Stated(V_PREDICTION, "v_pred", is_zero_snr="ztsnr" in tensors.shapes)
    key = "modelspec.prediction_type"
    if said := tensors.metadata.get(key, "").strip().lower().replace("-", "_"):
        if said not in PREDICTIONS:
            raise ValueError(f"predicts “{said[:40]}” ({key}); only epsilon and v are supported")
        is_v = PREDICTIONS[said] == V_PREDICTION
        return Stated(PREDICTIONS[said], key, is_zero_snr=is_v and "ztsnr" in tensors.shapes)
    architecture = "modelspec.architecture"
    if tensors.metadata.get(architecture, "").strip().lower() in _V_ARCHITECTURES:
        return Stated(V_PREDICTION, architecture)
    return Stated()


def merge_settings(config: Mapping[str, Any], stated: Stated, prediction: str = "") -> dict[str, Any]:
    """Return the folder's settings with what the file and, in `prediction`, the operator say.

    Zero terminal SNR goes with trailing timesteps, as diffusers asks, and with v-prediction only: from pure noise
    nothing can be told by epsilon. A model without a stated prediction type keeps its settings as they are.
    """
    settings = dict(config)
    wanted = prediction or stated.prediction
    if wanted:
        settings["prediction_type"] = wanted
    if wanted == V_PREDICTION and stated.is_zero_snr:
        settings |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    if wanted == EPSILON and settings.get("rescale_betas_zero_snr"):
        settings["rescale_betas_zero_snr"] = False
    return settings


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise `ValueError` (to follow "its scheduler") for settings that some sampler cannot work with."""
    name = settings.get("_class_name", "DDIMScheduler")
    if name not in _CLASSES:
        raise ValueError(f"is a {str(name)[:60]}, which describes another kind of model")
    _check_values(settings, _CHOICES, _RANGES)
    if settings.get("variance_type") in ("learned", "learned_range"):
        raise ValueError("sets variance_type to a learned one, which is not supported")
    if settings.get("rescale_betas_zero_snr") and settings.get("prediction_type", EPSILON) != V_PREDICTION:
        raise ValueError("asks for zero terminal SNR (rescale_betas_zero_snr), which needs v_prediction")


def check_flow_settings(settings: Mapping[str, Any]) -> None:
    """Raise `ValueError` (to follow "its scheduler") for settings of a flow model that a sampler cannot work with."""
    name = settings.get("_class_name")
    if name not in _FLOW_CLASSES:
        raise ValueError(f"is a {str(name)[:60]}, which describes another kind of model")
    stated = {key: value for key, value in settings.items() if key != "shift_terminal" or value is not None}
    _check_values(stated, _FLOW_CHOICES, _FLOW_RANGES)
    if stated.get("max_image_seq_len", 4096) <= stated.get("base_image_seq_len", 256):
        raise ValueError("sets max_image_seq_len to no more than base_image_seq_len")


def _check_values(
    settings: Mapping[str, Any],
    choices: Mapping[str, tuple[object, ...]],
    ranges: Mapping[str, tuple[float, float]],
) -> None:
    for key in sorted(settings.keys() & choices.keys()):
        if settings[key] not in choices[key]:
            wanted = " or ".join(map(_short, choices[key]))
            raise ValueError(f"sets {key} to {_short(settings[key])}, which is not supported; it must be {wanted}")
    for key in sorted(settings.keys() & ranges.keys()):
        least, greatest = ranges[key]
        if not (_is_number(settings[key]) and least <= settings[key] <= greatest):
            raise ValueError(f"sets {key} to {_short(settings[key])}; it must be from {least:g} to {greatest:g}")


def _short(value: object) -> str:
    """Return the value as it stands in the file, cut where it is long."""
    return json.dumps(value)[:40]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
