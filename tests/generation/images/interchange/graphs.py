"""Graphs of ComfyUI to read."""

from __future__ import annotations

import json
from typing import Any

from generation.images.interchange import ForeignSettings, read_foreign

Graph = dict[str, Any]


def node(kind: str, /, **inputs: Any) -> Graph:
    return {"class_type": kind, "inputs": inputs}


def graph(**changes: Graph) -> Graph:
    """The default workflow; nodes by number, `n6=...` replaces node 6."""
    basis = {
        "3": node(
            "KSampler",
            seed=42,
            steps=3,
            cfg=7,
            sampler_name="euler",
            scheduler="normal",
            denoise=1,
            model=["4", 0],
            positive=["6", 0],
            negative=["7", 0],
            latent_image=["5", 0],
        ),
        "4": node("CheckpointLoaderSimple", ckpt_name="x.safetensors"),
        "5": node("EmptyLatentImage", width=64, height=128, batch_size=1),
        "6": node("CLIPTextEncode", text="a red circle", clip=["4", 1]),
        "7": node("CLIPTextEncode", text="blurry", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", filename_prefix="C", images=["8", 0]),
    }
    return basis | {name[1:]: each for name, each in changes.items()}


def sampler(**changes: Any) -> Graph:
    plain = graph()["3"]
    return {**plain, "inputs": plain["inputs"] | changes}


def read(nodes: Graph) -> ForeignSettings:
    found = read_foreign({"prompt": json.dumps(nodes)})
    assert found is not None
    return found


PLAIN = ForeignSettings(
    tool="ComfyUI",
    prompt="a red circle",
    negative="blurry",
    steps=3,
    guidance=7.0,
    seed=42,
    size_px=(64, 128),
    sampler="Euler",
    sampler_there="euler",
    model_there="x.safetensors",
)
