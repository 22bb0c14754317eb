"""Writes the built-in networks in the layout of published checkpoints, so that one loader serves all.

Current transformers saves no `merges.txt` and drops the `text_model.` prefix that published text encoders have. The
names are put back here from a list of the top-level names, and `StableDiffusionPipeline.from_pretrained` must take
them without a missing key (the tests check it).
"""

import json
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file

from training.paintbox import captions, tokens

SCHEDULER: Final[dict[str, Any]] = {
    "_class_name": "DDIMScheduler",
    "_diffusers_version": "0.42.1",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.025,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
"""Stable Diffusion 1's kind of noise, but more of it at the end (0.025 for 0.012).

With 0.012 the mean colour of a plain background still shows through the last step's noise, so training reads it there
instead of in the words, and sampling, which starts from noise alone, paints any colour. v-prediction learnt faster;
trailing, so that few steps still start at full noise.
"""

_INDEX: Final[dict[str, Any]] = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write it indented, sorted, with a newline at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", "utf-8")


def save_weights(path: Path, state: dict[str, torch.Tensor], dtype: torch.dtype = torch.float16) -> None:
    """Write one safetensors file; floats in `dtype`, everything else as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {
        name: (value.to(dtype) if value.is_floating_point() else value).detach().cpu().contiguous().clone()
        for name, value in state.items()
    }
    save_file(plain, path, metadata={"format": "pt"})


def write_model(folder: Path, *, text_encoder: Any, unet: Any, vae: Any) -> None:
    """Write the whole Stable Diffusion folder: its three networks, tokenizer, scheduler and index."""
    write_json(folder / "model_index.json", _INDEX)
    write_json(folder / "scheduler" / "scheduler_config.json", SCHEDULER)
    tokens.write_tokenizer(folder / "tokenizer", captions.words())
    for name, network in (("unet", unet), ("vae", vae)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        network.save_config(folder / name)
        save_weights(folder / name / "diffusion_pytorch_model.safetensors", network.state_dict())
    write_text_encoder(folder / "text_encoder", text_encoder)


def write_text_encoder(folder: Path, text_encoder: Any) -> None:
    """Write a CLIPTextModel folder with the published `text_model.` names.

    In float32: loaded without a dtype, transformers keeps a file's own and diffusers does not, and they must agree.
    """
    write_json(folder / "config.json", text_encoder.config.to_diff_dict() | {"architectures": ["CLIPTextModel"]})
    state = {f"text_model.{name.removeprefix('text_model.')}": v for name, v in text_encoder.state_dict().items()}
    state = {name: value for name, value in state.items() if not name.endswith("position_ids")}
    save_weights(folder / "model.safetensors", state, torch.float32)
