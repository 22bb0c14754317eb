"""Renames the weights of the VAE of FLUX.2 and Qwen-Image in one file to those of diffusers, which converts others."""

from __future__ import annotations

from typing import Any

from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint, convert_wan_vae_to_diffusers

_QUANT = {"encoder.quant_conv.": "quant_conv.", "decoder.post_quant_conv.": "post_quant_conv."}


def convert_vae(weights: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return the weights under the names of diffusers, whichever they have."""
    if any(".down_blocks." in name for name in weights):
        return weights
    if any(name.startswith("encoder.downsamples.") for name in weights):
        films: dict[str, Any] = convert_wan_vae_to_diffusers(weights)
        return films
    for theirs, ours in _QUANT.items():
        weights = {name.replace(theirs, ours): weight for name, weight in weights.items()}
    statistics = {name: weight for name, weight in weights.items() if name.startswith("bn.")}
    return {**convert_ldm_vae_checkpoint(weights, config), **statistics}
