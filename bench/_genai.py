"""OpenVINO GenAI's text-to-image pipeline with Paintbox's weights: a peer of `side_by_side`.

Its parts are converted by OpenVINO's front end for torch, as `optimum-cli export openvino` would; not with
`openvino.convert_model`, which reports its use to Google Analytics.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from bench._side_work import Request
from bench._stock import encode
from generation import paintbox

_WORDS = 77
"""Tokens of a prompt for a text encoder of CLIP."""


class Genai:
    """`openvino_genai.Text2ImagePipeline` on the processor, with the model's own sampler (DDIM)."""

    def __init__(self, dtype: str) -> None:
        """Convert the model and compile it, which takes some ten seconds. `dtype`: float32 or bfloat16."""
        import openvino_genai

        with tempfile.TemporaryDirectory() as folder:
            _export(Path(folder))
            hint = {"float32": "f32", "bfloat16": "bf16"}[dtype]
            self._pipeline: Any = openvino_genai.Text2ImagePipeline(folder, "CPU", INFERENCE_PRECISION_HINT=hint)
        self._generator = openvino_genai.TorchGenerator

    def paint(self, requests: Sequence[Request]) -> list[bytes]:
        """Return PNG files; it takes one prompt a call."""
        from PIL import Image

        tensors = [
            self._pipeline.generate(
                request.prompt,
                width=request.side_px,
                height=request.side_px,
                num_inference_steps=request.steps,
                guidance_scale=request.guidance,
                generator=self._generator(request.seed),
            )
            for request in requests
        ]
        return [encode(Image.fromarray(tensor.data[0])) for tensor in tensors]


class _Words(torch.nn.Module):
    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        found = self.encoder(input_ids)
        return found.last_hidden_state, found.pooler_output


class _Noise(torch.nn.Module):
    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor) -> Tensor:
        found: Tensor = self.unet(sample, timestep, encoder_hidden_states, return_dict=False)[0]
        return found


class _Pixels(torch.nn.Module):
    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, latent_sample: Tensor) -> Tensor:
        found: Tensor = self.vae.decode(latent_sample, return_dict=False)[0]
        return found


def _export(folder: Path) -> None:
    """Write the model as OpenVINO's pipelines read it."""
    from openvino import save_model
    from openvino_tokenizers import convert_tokenizer

    pipeline: Any = StableDiffusionPipeline.from_pretrained(paintbox.MODEL_DIR, local_files_only=True)
    shutil.copytree(paintbox.MODEL_DIR, folder, ignore=shutil.ignore_patterns("*.safetensors"), dirs_exist_ok=True)
    shutil.move(folder / "vae", folder / "vae_decoder")
    hidden = pipeline.text_encoder.config.hidden_size
    noise = torch.zeros(2, pipeline.unet.config.in_channels, 16, 16)
    parts = {
        "text_encoder": (_Words(pipeline.text_encoder), {"input_ids": torch.ones(1, _WORDS, dtype=torch.int64)}),
        "unet": (
            _Noise(pipeline.unet),
            {"sample": noise, "timestep": torch.tensor([500]), "encoder_hidden_states": torch.zeros(2, _WORDS, hidden)},
        ),
        "vae_decoder": (_Pixels(pipeline.vae), {"latent_sample": noise[:1]}),
    }
    for name, (module, inputs) in parts.items():
        save_model(_convert(module, inputs), folder / name / "openvino_model.xml", compress_to_fp16=False)
    tokenizer = convert_tokenizer(pipeline.tokenizer, with_detokenizer=False)
    save_model(tokenizer, folder / "tokenizer" / "openvino_tokenizer.xml")


def _convert(module: torch.nn.Module, inputs: dict[str, Tensor]) -> Any:
    """Return a module as a model of OpenVINO for any number of rows and any size."""
    from openvino import PartialShape
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(module.eval(), example_input=tuple(inputs.values()))
    model = frontend.convert(frontend.load(decoder))
    free = {1: (), 2: (0,), 3: (0,), 4: (0, 2, 3)}
    shapes = {
        name: PartialShape([-1 if axis in free[each.dim()] else side for axis, side in enumerate(each.shape)])
        for name, each in inputs.items()
    }
    for port, name in zip(model.inputs, inputs, strict=True):
        port.set_names({name})
    model.reshape(shapes)
    return model
