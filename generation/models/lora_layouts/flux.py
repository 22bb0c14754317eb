"""LoRA of FLUX.1 and of Chroma, which has its blocks without their modulation. No torch."""

from __future__ import annotations

from generation.models.lora_layouts.base import LoraLayout, Size

DOUBLE_ATTENTION = (
    (r"double_blocks_(\d+)_img_attn_qkv", r"transformer_blocks_\1_attn_to_qkv"),
    (r"double_blocks_(\d+)_txt_attn_qkv", r"transformer_blocks_\1_attn_to_added_qkv"),
    (r"double_blocks_(\d+)_img_attn_proj", r"transformer_blocks_\1_attn_to_out_0"),
    (r"double_blocks_(\d+)_txt_attn_proj", r"transformer_blocks_\1_attn_to_add_out"),
)
_XLABS = (
    (r"double_blocks_(\d+)_processor_qkv_lora1", r"transformer_blocks_\1_attn_to_qkv"),
    (r"double_blocks_(\d+)_processor_qkv_lora2", r"transformer_blocks_\1_attn_to_added_qkv"),
    (r"double_blocks_(\d+)_processor_proj_lora1", r"transformer_blocks_\1_attn_to_out_0"),
    (r"double_blocks_(\d+)_processor_proj_lora2", r"transformer_blocks_\1_attn_to_add_out"),
    (r"single_blocks_(\d+)_qkv", r"single_transformer_blocks_\1_attn_to_qkv"),
    (r"single_blocks_(\d+)_proj", r"single_transformer_blocks_\1_proj_out"),
)
"""As XLabs write them. Of a single block's first layer they change the attention alone."""
_RENAMED = (
    *DOUBLE_ATTENTION,
    *_XLABS,
    (r"double_blocks_(\d+)_img_mlp_(0)", r"transformer_blocks_\1_ff_net_\2_proj"),
    (r"double_blocks_(\d+)_img_mlp_(2)", r"transformer_blocks_\1_ff_net_\2"),
    (r"double_blocks_(\d+)_txt_mlp_(0)", r"transformer_blocks_\1_ff_context_net_\2_proj"),
    (r"double_blocks_(\d+)_txt_mlp_(2)", r"transformer_blocks_\1_ff_context_net_\2"),
    (r"double_blocks_(\d+)_img_mod_lin", r"transformer_blocks_\1_norm1_linear"),
    (r"double_blocks_(\d+)_txt_mod_lin", r"transformer_blocks_\1_norm1_context_linear"),
    (r"single_blocks_(\d+)_linear1", r"single_transformer_blocks_\1_linear1"),
    (r"single_blocks_(\d+)_linear2", r"single_transformer_blocks_\1_proj_out"),
    (r"single_blocks_(\d+)_modulation_lin", r"single_transformer_blocks_\1_norm_linear"),
    (r"img_in", "x_embedder"),
    (r"txt_in", "context_embedder"),
    (r"time_in_in_layer", "time_text_embed_timestep_embedder_linear_1"),
    (r"time_in_out_layer", "time_text_embed_timestep_embedder_linear_2"),
    (r"vector_in_in_layer", "time_text_embed_text_embedder_linear_1"),
    (r"vector_in_out_layer", "time_text_embed_text_embedder_linear_2"),
    (r"guidance_in_in_layer", "time_text_embed_guidance_embedder_linear_1"),
    (r"guidance_in_out_layer", "time_text_embed_guidance_embedder_linear_2"),
    (r"distilled_guidance_layer_layers_(\d+)_in_layer", r"distilled_guidance_layer_layers_\1_linear_1"),
    (r"distilled_guidance_layer_layers_(\d+)_out_layer", r"distilled_guidance_layer_layers_\1_linear_2"),
    (r"final_layer_linear", "proj_out"),
    (r"final_layer_adaLN_modulation_1", "norm_out_linear"),
)
ATTENTION = r"transformer_blocks_#_attn_(to_[qkv]|to_out_0|add_[qkv]_proj|to_add_out)"
"""Of a block of two streams, here and in relatives."""
_BLOCKS = {
    ATTENTION: (1, 1),
    r"transformer_blocks_#_attn_to_(added_)?qkv": (3, 1),
    r"transformer_blocks_#_ff(_context)?_net_0_proj": (4, 1),
    r"transformer_blocks_#_ff(_context)?_net_2": (1, 4),
    r"single_transformer_blocks_#_attn_to_[qkv]": (1, 1),
    r"single_transformer_blocks_#_attn_to_qkv": (3, 1),
    r"single_transformer_blocks_#_linear1": (7, 1),
    r"single_transformer_blocks_#_proj_mlp": (4, 1),
    r"single_transformer_blocks_#_proj_out": (1, 5),
    r"(x|context)_embedder": (1, 0),
    r"proj_out": (0, 1),
}
_NUMBERS = {"transformer_blocks": 19, "single_transformer_blocks": 38}

FLUX = LoraLayout(
    network="FluxTransformer2DModel",
    layers={
        **_BLOCKS,
        r"transformer_blocks_#_norm1(_context)?_linear": (6, 1),
        r"single_transformer_blocks_#_norm_linear": (3, 1),
        r"norm_out_linear": (2, 1),
        r"time_text_embed_(timestep|guidance|text)_embedder_linear_1": (1, 0),
        r"time_text_embed_(timestep|guidance|text)_embedder_linear_2": (1, 1),
    },
    sizes={3072: Size(("flux", "kontext"), _NUMBERS)},
    renamed=_RENAMED,
    swapped="final_layer_adaLN_modulation_1",
    texts=("lora_te1_",),
)
CHROMA = LoraLayout(
    network="ChromaTransformer2DModel",
    layers={
        **_BLOCKS,
        r"distilled_guidance_layer_layers_#_linear_[12]": (0, 0),
        r"distilled_guidance_layer_in_proj": (0, 0),
        r"distilled_guidance_layer_out_proj": (1, 0),
    },
    sizes={3072: Size(("chroma",), _NUMBERS)},
    renamed=_RENAMED,
)
