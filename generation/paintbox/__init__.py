"""The built-in model: where its weights lie and how it likes to be asked. Imports nothing heavy."""

from pathlib import Path
from typing import Final

_HERE = Path(__file__).resolve().parent

MODEL_DIR: Final = _HERE / "model"
"""A Stable Diffusion folder in diffusers' published layout."""

SAFETY_DIR: Final = _HERE / "safety_checker"
"""A `StableDiffusionSafetyChecker` with its `preprocessor_config.json`; it knows spiders and nothing else."""

UPSCALER_DIR: Final = _HERE / "upscaler"
"""A `Swin2SRForImageSuperResolution` that doubles width and height."""

LORA_DIR: Final = _HERE / "lora"
"""Example LoRA files (`*.safetensors`) for the model above."""

NATIVE_PX: Final = 128
"""Side of the square pictures the model was trained on, in pixels."""

DEFAULT_STEPS: Final = 20
DEFAULT_GUIDANCE: Final = 3.5
DEFAULT_SAMPLER: Final = "DPM++ 2M Karras"
