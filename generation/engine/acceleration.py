"""Chooses what runs a model's plain forwards in place of torch, kernel by kernel."""

from __future__ import annotations

from typing import Any

from generation.engine.compiled import compile_denoiser
from generation.engine.cuda_graphs import graph_denoiser
from generation.engine.devices import Device
from generation.engine.families.base import AcceleratedDenoiser, Family
from generation.engine.offload import list_networks
from generation.models.catalog import Model


def accelerate(family: Family, model: Model, device: Device, *, folder: str, sha256: str) -> AcceleratedDenoiser | None:
    """Return what the device's settings ask for, where this family has it; `folder` and `sha256` as for OpenVINO."""
    compiled = compile_denoiser(family, model, device, folder=folder, sha256=sha256)
    return compiled or graph_denoiser(family, model, device)


def list_held(family: Family) -> list[Any]:
    """Return the networks whose weights a loaded model holds in memory, as often as it holds them."""
    is_twice = family.accelerated is not None and family.accelerated.holds_weights
    return [*list_networks(family), *[family.denoiser] * is_twice]
