"""Runs UNets compiled by OpenVINO in place of torch's own kernels: on a processor, up to twice as fast.

Which forwards run compiled is decided by what images must have in common to share one (`Key.is_accelerated`), never by
their company: plain ones of Stable Diffusion. LoRA, ControlNets, IP-Adapters and step caches change a network from one
forward to the next, so those images share forwards with each other alone, by torch. A compiled forward has other bits
than torch's, and its bits depend on its threads as torch's do: OpenVINO is in the fingerprint, the threads in the
trace.

What was compiled is kept in a folder, named by all it was made of: compiling takes some ten seconds, reading it one.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from msgspec import UNSET
from torch import Tensor

from generation.engine.devices import Device
from generation.engine.families.base import MASK, Conditioning, Family
from generation.models.catalog import Model
from generation.requests.spec import ImageSpec

log = logging.getLogger(__name__)
_FAMILIES = ("sd", "sdxl")
_CELLS = 8
"""A UNet halves its latents up to three times; of sides that cannot be, its code takes another way."""


def compile_denoiser(
    family: Family, model: Model, device: Device, *, folder: str, sha256: str
) -> CompiledDenoiser | None:
    """Return a model's denoiser compiled, or as it was kept; None where the device or the family runs by torch."""
    if not device.openvino or model.family not in _FAMILIES:
        return None
    return CompiledDenoiser(family, model, device, folder=folder, sha256=sha256)


class CompiledDenoiser:
    """A family's `denoise`, compiled. Two threads may call it at once."""

    holds_weights = True

    def __init__(self, family: Family, model: Model, device: Device, *, folder: str, sha256: str) -> None:
        """`folder`: where it is kept, or nowhere; `sha256`: of the model's files, else it is not kept."""
        self._num_threads = device.num_threads
        self._lock, self._requests = threading.Lock(), threading.local()
        self._compiled: dict[int, Any] = {}
        examples = _make_examples(family, model)
        self._names = tuple(examples)[2:]
        self._kept = Path(folder) / _name(sha256, tuple(examples)) if folder and sha256 else None
        self._artefact = b""
        if not self._can_read():
            self._artefact = _compile(family, examples, self._settings(device.num_threads))
            if self._kept is not None and _keep(self._kept, self._artefact):
                self._artefact = b""
            self._read(device.num_threads)

    def takes(self, spec: ImageSpec, latent_shape: tuple[int, int, int]) -> bool:
        is_plain = not (spec.adapters or spec.controls or spec.image_prompt) and spec.cache is UNSET
        return is_plain and all(side % _CELLS == 0 for side in latent_shape[1:])

    def clear(self) -> None:
        pass

    def denoise(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """Return what `Family.denoise` does, but for rounding. Runs on as many threads as torch has for the caller."""
        inputs = [latents, timesteps, *(conditioning[name] for name in self._names)]
        result = self._get_request(torch.get_num_threads()).infer(
            [each.numpy() for each in inputs], share_inputs=True, share_outputs=True
        )
        return torch.from_numpy(result[0]).clone()

    def _can_read(self) -> bool:
        if self._kept is None or not self._kept.is_file():
            return False
        try:
            self._read(self._num_threads)
        except RuntimeError as error:  # cut off, or of another processor
            log.warning("action=compile-again error=%s", str(error).splitlines()[0][:200])
            return False
        return True

    def _get_request(self, num_threads: int) -> Any:
        """Return the calling thread's request: what one holds of a forward must not be another's."""
        known: dict[int, Any] = self._requests.__dict__.setdefault("known", {})
        if num_threads not in known:
            known[num_threads] = self._read(num_threads).create_infer_request()
        return known[num_threads]

    def _read(self, num_threads: int) -> Any:
        with self._lock:
            if num_threads not in self._compiled:
                artefact = self._artefact or (self._kept.read_bytes() if self._kept is not None else b"")
                settings = self._settings(num_threads)
                self._compiled[num_threads] = _open_core().import_model(artefact, "CPU", settings)
            return self._compiled[num_threads]

    def _settings(self, num_threads: int) -> dict[str, Any]:
        """Return OpenVINO's settings for forwards of so many threads, as many at once as there are threads for."""
        streams = max(1, self._num_threads // num_threads)
        return {
            "INFERENCE_NUM_THREADS": num_threads * streams,
            "NUM_STREAMS": streams,
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,
        }


class _Denoise(torch.nn.Module):
    """A family's `denoise` as a module that can be traced."""

    def __init__(self, family: Family, names: Sequence[str]) -> None:
        super().__init__()
        self.network, self._denoise, self._names = family.denoiser, family.denoise, names

    def forward(self, latents: Tensor, timesteps: Tensor, *parts: Tensor) -> Tensor:
        return self._denoise(latents, timesteps, dict(zip(self._names, parts, strict=True)))


def _make_examples(family: Family, model: Model) -> dict[str, Tensor]:
    """Return inputs of a forward of two rows, by name, in their order."""
    spec = ImageSpec.for_model(model, prompt="a", seed=0)
    conditioning = {name: each[:1].repeat(2, *[1] * (each.dim() - 1)) for name, each in sorted(_read(family, spec))}
    latents = torch.zeros(2, family.latent_channels, 2 * _CELLS, 2 * _CELLS)
    if family.takes_mask:
        conditioning[MASK] = torch.zeros(2, 1 + family.latent_channels, 2 * _CELLS, 2 * _CELLS)
    return {"latents": latents, "timesteps": torch.full((2,), 500.0), **conditioning}


def _read(family: Family, spec: ImageSpec) -> Any:
    return family.condition(spec, family.tokenize(spec)).items()


def _compile(family: Family, examples: dict[str, Tensor], settings: dict[str, Any]) -> bytes:
    """Return a denoiser compiled for any number of rows, any size and any length of prompt."""
    from openvino import PartialShape
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    family.use(())
    module = _Denoise(family, tuple(examples)[2:]).eval()
    frontend = FrontEndManager().load_by_framework("pytorch")
    with warnings.catch_warnings():  # diffusers' code asks for shapes; torch would rather have another way to trace
        warnings.simplefilter("ignore")
        decoder = TorchScriptPythonDecoder(module, example_input=tuple(examples.values()))  # converting reads it
    traced = frontend.convert(frontend.load(decoder))
    # Channels and widths are the network's; all else may be anything.
    free = {2: (0,), 3: (0, 1), 4: (0, 2, 3)}
    shapes = [
        PartialShape([-1 if axis in free.get(each.dim(), (0,)) else side for axis, side in enumerate(each.shape)])
        for each in examples.values()
    ]
    traced.reshape(dict(zip((port.get_any_name() for port in traced.inputs), shapes, strict=True)))
    compiled = _open_core().compile_model(traced, "CPU", settings)
    artefact: bytes = compiled.export_model().getvalue()
    return artefact


def _open_core() -> Any:
    from openvino import Core

    return Core()


def _name(sha256: str, names: Sequence[str]) -> str:
    """Return the file name of what is compiled: it tells all that it is made of."""
    made_of = (
        sha256,
        *names,
        version("openvino"),
        str(torch.__version__),
        version("diffusers"),
        torch.backends.cpu.get_cpu_capability(),
    )
    return f"{hashlib.sha256(chr(0).join(made_of).encode()).hexdigest()[:40]}.openvino"


def _keep(path: Path, artefact: bytes) -> bool:
    """Write it whole or not at all. Where it cannot be kept, it is compiled at each start."""
    beside = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(artefact)
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        log.warning("action=compiled-not-kept error=%s", error)
        return False
    return True
