"""The settings of an engine. Importable without torch: the bot builds them and sends them to the worker."""

from __future__ import annotations

import msgspec


class CheckerThresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Probabilities above which the shared checkers keep a picture back. The lower, the stricter.

    Above the highest that any of 200 harmless pictures reaches (`python -m bench checker`).
    """

    open_nsfw: float = 0.5
    hentai: float = 0.6
    porn: float = 0.95
    sexy: float = 0.98


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every choice that is not a model's. What changes bytes is in the fingerprint; the rest is speed and memory."""

    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    dtype: str = "auto"
    """`auto`, `float32`, `bfloat16`, `float16`. `auto` is bfloat16 on CUDA (float16 on cards without it in
    hardware) and on processors measured to be much faster with it, float32 elsewhere."""
    memory: str = "auto"
    """`auto`, or one of `memory.MODES`: how much of a model stays on the device, how large its pieces of work are."""
    cpu_backend: str = "torch"
    """`torch`, or `openvino`: what runs plain forwards of Stable Diffusion on a processor."""
    packs_weights: bool = True
    """Whether convolutions on a processor have packed weights, where that pays. Traces tell, so replays are exact."""
    cuda_graphs: bool = False
    """Whether plain forwards of Stable Diffusion on an NVIDIA card run as CUDA graphs."""
    compiled: str = ""
    """The folder that keeps what OpenVINO compiled; without one it is compiled at each start."""
    measured: str = ""
    """The file that keeps what is measured on this machine; without one nothing is measured."""
    failed_loads: str = ""
    """The file that keeps which models did not load, and why; without one that is known until the engine ends."""
    idle_s: float = 0.0
    """After so long without work the models are dropped from memory; 0 keeps them."""
    num_threads: int = 0
    """CPU threads of one forward; 0 is one a core. Bits depend on it, so it is part of the fingerprint."""
    num_lanes: int = 0
    """Turns that may run at once, 1 or 2; 0 is two on a processor with threads for both."""
    num_slots: int = 0
    """Images that may be resident at once; 0 is what the lanes' forwards hold and a quarter more. Many more than they
    hold would make every picture late: all of them step in turn."""
    max_rows: int = 0
    """Most rows of one forward, a rung of the family's ladder; 0 lets the device and the picture size decide."""
    quantum: float = 0.0
    """How far (in cost units over weight) a guild may get ahead because the engine stays on the current key."""
    max_prompt_chunks: int = 3
    """Prompts are read in chunks of 75 tokens; what goes beyond this many is dropped, and named."""
    num_cached_prompts: int = 64
    checks_safety: bool = True
    """Whether the checkers of all models are loaded at the start, so that a bot without them does not start."""
    thresholds: CheckerThresholds = CheckerThresholds()
    check_timeout_s: float = 60.0
    """How long a checker may look at one picture before it is kept back."""
    preview_side: int = 16
    """Previews decode latents pooled to at most this many cells a side (8 pixels each)."""
    preview_ahead_s: float = 0.0
    """A preview is not made where the picture is expected within so long."""
