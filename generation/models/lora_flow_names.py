"""Layers of transformers in LoRA files, by their authors' names and by those of diffusers. No torch.

Both with underscores for points, as kohya's scripts write them. A layer that diffusers has in three (`to_qkv`) keeps
its one name: only the model knows where one ends.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from generation.models.lora_kinds import Extent

PREFIX = "lora_transformer_"
"""How layers of a transformer begin here, as OneTrainer writes them."""
FUSED: Mapping[str, tuple[str, str, str]] = {
    "to_qkv": ("to_q", "to_k", "to_v"),
    "to_added_qkv": ("add_q_proj", "add_k_proj", "add_v_proj"),
}
"""The ends of layers that are one in the authors' code and three in that of diffusers, in the order of their rows."""
_REPEATED = (("attention_qkv", "attention_to_q"), ("attention_out", "attention_to_out_0"))
"""Ends of layers that some trainers of Z-Image write under both names, the authors' and diffusers'."""
SWAPPED: Mapping[str, str] = {"final_layer_adaLN_modulation_1": "norm_out_linear"}
"""The layer of FLUX.2 whose two halves the authors have the other way round, and what diffusers calls it."""
_TOOLS = r"(base_model[._]model[._])?(transformer\.|(model\.)?diffusion_model\.|lora_unet_|lora_transformer_|lycoris_)?"
_STARTS = {
    "zimage": r"(layers|noise_refiner|context_refiner)_\d+_(attention|feed_forward|adaLN_modulation)_",
    "klein": r"((double|single|sformer)_blocks_\d+_|(single_)?transformer_blocks_\d+_(attn|ff|norm|proj)[^\d])",
}
"""What only layers of a family (or of its relatives) begin with."""
_QWEN, _BLOCK = "qwenimage", re.compile(r"transformer_blocks_(\d+)_(?:((?:img|txt)_(?:mod|mlp)_)|attn_)")
_MOST_OF_FLUX = 19
"""Double blocks of FLUX.1, whose attention is called as that of Qwen-Image; Stable Diffusion 3 is told by its width."""
_BLOCKS = r"(layers|noise_refiner|context_refiner)_(\d+)_"
_RENAMED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "zimage": (
        (rf"{_BLOCKS}attention_qkv", r"\1_\2_attention_to_qkv"),
        (rf"{_BLOCKS}attention_out", r"\1_\2_attention_to_out_0"),
        (r"(x_embedder|final_layer_.+)", r"all_\1"),
        (r"all_(x_embedder|final_layer)(?!_2-1)(.*)", r"all_\1_2-1\2"),
    ),
    "klein": (
        (r"sformer_blocks_(.+)", r"transformer_blocks_\1"),
        (r"double_blocks_(\d+)_img_attn_qkv", r"transformer_blocks_\1_attn_to_qkv"),
        (r"double_blocks_(\d+)_txt_attn_qkv", r"transformer_blocks_\1_attn_to_added_qkv"),
        (r"double_blocks_(\d+)_img_attn_proj", r"transformer_blocks_\1_attn_to_out_0"),
        (r"double_blocks_(\d+)_txt_attn_proj", r"transformer_blocks_\1_attn_to_add_out"),
        (r"double_blocks_(\d+)_img_mlp_0", r"transformer_blocks_\1_ff_linear_in"),
        (r"double_blocks_(\d+)_img_mlp_2", r"transformer_blocks_\1_ff_linear_out"),
        (r"double_blocks_(\d+)_txt_mlp_0", r"transformer_blocks_\1_ff_context_linear_in"),
        (r"double_blocks_(\d+)_txt_mlp_2", r"transformer_blocks_\1_ff_context_linear_out"),
        (r"single_blocks_(\d+)_linear1", r"single_transformer_blocks_\1_attn_to_qkv_mlp_proj"),
        (r"single_blocks_(\d+)_linear2", r"single_transformer_blocks_\1_attn_to_out"),
        (r"img_in", "x_embedder"),
        (r"txt_in", "context_embedder"),
        (r"time_in_in_layer", "time_guidance_embed_timestep_embedder_linear_1"),
        (r"time_in_out_layer", "time_guidance_embed_timestep_embedder_linear_2"),
        (r"final_layer_linear", "proj_out"),
        (r"((?:single|double)_stream_modulation(?:_img|_txt)?)_lin", r"\1_linear"),
    ),
}
_RELATIVE = "FLUX or another relative of FLUX.2 klein"
_ONLY_RELATIVES = re.compile(
    r"(?<!single_)transformer_blocks_\d+_(norm\d?(_context)?_linear|ff(_context)?_net_)"
    r"|single_transformer_blocks_\d+_(norm_linear|proj_mlp|proj_out|attn_to_[qkv]$)"
    r"|(double|single)_blocks_\d+_((img|txt)_mod_|modulation_)|(vector|guidance)_in_"
)
"""Layers that relatives of FLUX.2 have, and it has not."""
_LUMINA = 2304
"""The width of Lumina 2, whose layers are called as those of Z-Image."""
_BY_WIDTH = {1536: "Stable Diffusion 3", 2432: "Stable Diffusion 3", 6144: "FLUX.2 dev"}
_SIZES = {3072: ("klein", 5, 20), 4096: ("klein9b", 8, 24)}
"""The width of FLUX.2 klein, and how many double and single blocks it has, as published. Other widths are of toys."""
_WIDE = re.compile(r"transformer_blocks_\d+_(attn_(?!to_out$)(to|add)_|(ff|ff_context)_linear_in)")
_RELATIVE_SHAPES = {"ff_linear_in": (4, 1), "ff_linear_out": (1, 4), "to_qkv_mlp_proj": (7, 1)}
"""What layers of FLUX.1 give and take, in widths, where those of the same names in FLUX.2 are of other sizes."""


def find_dialect(names: Iterable[str]) -> str:
    """Return `zimage`, `klein` or `qwenimage` if names in a LoRA file are those of that family or its relatives; empty
    if not."""
    plain = [_strip(name) for name in names]
    if _is_of_qwen(plain):
        return _QWEN
    return next((family for family, start in _STARTS.items() if any(re.match(start, name) for name in plain)), "")


def _is_of_qwen(plain: Collection[str]) -> bool:
    blocks = [found for name in plain if (found := _BLOCK.match(name))]
    if any(found[2] for found in blocks):
        return True
    has_single = any(name.startswith("single_transformer_blocks_") for name in plain)
    return not has_single and any(int(found[1]) >= _MOST_OF_FLUX for found in blocks)


def find_repeated(layers: Iterable[str]) -> set[str]:
    """Return the layers that a file has under the names of diffusers as well: the same, written twice."""
    plain = {layer: _strip(layer) for layer in layers}
    there = set(plain.values())
    return {
        layer
        for layer, name in plain.items()
        for end, other in _REPEATED
        if name.endswith(end) and name.removesuffix(end) + other in there
    }


def name_layer(name: str, dialect: str) -> str:
    """Return a layer by the name that diffusers has for it, after `PREFIX`; as it is if it has that already."""
    plain = _strip(name)
    for pattern, better in _RENAMED.get(dialect, ()):
        plain = re.sub(f"^{pattern}$", better, plain)
    return f"{PREFIX}{plain}"


def find_family(extents: Mapping[str, Extent], dialect: str) -> str:
    """Return the family that a LoRA's layers belong to, if they are of no relative."""
    return _SIZES.get(_find_width(extents), (dialect,))[0] if dialect == "klein" else dialect


def find_relative(extents: Mapping[str, Extent], dialect: str) -> str:
    """Return what other family the layers must be of; empty if they may be of one that is run."""
    if dialect == "zimage":
        of_lumina = (each.takes == _LUMINA for name, each in extents.items() if "_attention_to_" in name)
        return "Lumina 2" if any(of_lumina) else ""
    if dialect == _QWEN:
        return _BY_WIDTH.get(_find_width(extents), "")
    if any(_ONLY_RELATIVES.search(name.removeprefix(PREFIX)) for name in extents):
        return _RELATIVE
    for name, extent in extents.items():
        for end, (gives, takes) in _RELATIVE_SHAPES.items():
            if name.endswith(end) and extent.gives * takes == extent.takes * gives:
                return _RELATIVE
    width = _find_width(extents)
    if width in _BY_WIDTH:
        return _BY_WIDTH[width]
    _, doubles, singles = _SIZES.get(width, ("", 0, 0))
    blocks = {kind: _count(extents, kind) for kind in ("transformer_blocks", "single_transformer_blocks")}
    too_many = blocks["transformer_blocks"] > doubles or blocks["single_transformer_blocks"] > singles
    return _RELATIVE if width in _SIZES and too_many else ""


def _find_width(extents: Mapping[str, Extent]) -> int:
    """Return the numbers that the transformer has for each token; 0 if no layer tells."""
    return next((extent.takes for name, extent in extents.items() if _WIDE.search(name)), 0)


def _count(extents: Mapping[str, Extent], kind: str) -> int:
    found = (re.match(rf"{PREFIX}{kind}_(\d+)_", name) for name in extents)
    return max((int(each[1]) + 1 for each in found if each is not None), default=0)


def _strip(name: str) -> str:
    """Return a name without what tools write before it, with underscores for points."""
    return re.sub(f"^{_TOOLS}", "", name).replace(".", "_")
