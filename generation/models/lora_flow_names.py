"""Names of layers in LoRA files for transformers, without what tools write before them. No torch.

All with underscores for points, as kohya's scripts write them. `lora_layouts` knows which layer of a model
each of them is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

PREFIX = "lora_transformer_"
"""How layers of a transformer begin here, as OneTrainer writes them."""
_TOOLS = re.compile(
    r"(base_model[._]model[._])?(transformer\.|(model\.)?diffusion_model\.|lora_unet_|lora_transformer_|lycoris_)?"
)
_BLOCK = re.compile(
    r"((?:single_transformer|transformer|sformer|double|single|joint)_blocks|layers|noise_refiner|context_refiner|blocks"
    r"|(?:text_fusion|txtfusion)_\w+?_blocks)_(\d+)_"
)
"""Blocks of transformers at the beginning of a name; those of a UNet stand within others."""
_OF_CHROMA = "distilled_guidance_layer_"
_CLIP = {
    re.compile(r"(lora_te1?_|text_encoder\.|text_encoders\.clip_l\.transformer\.)(.+)"): "lora_te1_",
    re.compile(r"(lora_te2_|text_encoder_2\.|text_encoders\.clip_g\.transformer\.)(.+)"): "lora_te2_",
}
"""What tools write before layers of the two CLIP, and what stands before them here."""
_OF_CLIP = re.compile(r"(text_model_)?(encoder_layers_\d+_(self_attn|mlp)_\w+)")
_OF_TEXT = re.compile(r"lora_te\d?_|text_encoders?(_\d)?\.")
_REPEATED = (("attention_qkv", "attention_to_q"), ("attention_out", "attention_to_out_0"))
"""Ends of layers that some trainers of Z-Image write under both names, the authors' and diffusers'."""


def is_of_transformer(names: Iterable[str]) -> bool:
    """Return whether any of the names of layers or tensors is one of a transformer that paints."""
    return any(_BLOCK.match(plain) or plain.startswith(_OF_CHROMA) for plain in map(strip, names))


def is_of_text(layer: str) -> bool:
    """Return whether a layer is one of a text encoder."""
    return _OF_TEXT.match(layer) is not None


def name_layer(layer: str) -> str:
    """Return a layer of a transformer after `PREFIX`, one of CLIP as kohya's scripts call it; empty for one of another
    text encoder."""
    if not is_of_text(layer):
        return f"{PREFIX}{strip(layer)}"
    for pattern, prefix in _CLIP.items():
        found = pattern.fullmatch(layer)
        if found is not None and (within := _OF_CLIP.fullmatch(found[2].replace(".", "_"))) is not None:
            return f"{prefix}text_model_{within[2]}"
    return ""


def find_repeated(layers: Iterable[str]) -> set[str]:
    """Return the layers that a file has under the names of diffusers as well: the same, written twice."""
    plain = {layer: strip(layer) for layer in layers}
    there = set(plain.values())
    return {
        layer
        for layer, name in plain.items()
        for end, other in _REPEATED
        if name.endswith(end) and name.removesuffix(end) + other in there
    }


def find_block(name: str) -> tuple[str, int] | None:
    """Return the kind and the number of the block that a layer without prefix is in; None for one in no block."""
    found = _BLOCK.match(name)
    return (found[1], int(found[2])) if found is not None else None


def strip(name: str) -> str:
    """Return a name without what tools write before it, with underscores for points."""
    return _TOOLS.sub("", name, count=1).replace(".", "_")
