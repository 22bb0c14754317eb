"""LoRA of FLUX.2 klein. No torch."""

from __future__ import annotations

from generation.models.lora_layouts.base import LoraLayout, Size
from generation.models.lora_layouts.flux import ATTENTION, DOUBLE_ATTENTION

LAYOUT = LoraLayout(
    network="Flux2Transformer2DModel",
    layers={
        ATTENTION: (1, 1),
        r"transformer_blocks_#_attn_to_(added_)?qkv": (3, 1),
        r"transformer_blocks_#_ff(_context)?_linear_in": (6, 1),
        r"transformer_blocks_#_ff(_context)?_linear_out": (1, 3),
        r"single_transformer_blocks_#_attn_to_qkv_mlp_proj": (9, 1),
        r"single_transformer_blocks_#_attn_to_out": (1, 4),
        r"double_stream_modulation_(img|txt)_linear": (6, 1),
        r"single_stream_modulation_linear": (3, 1),
        r"time_guidance_embed_timestep_embedder_linear_1": (1, 0),
        r"time_guidance_embed_timestep_embedder_linear_2": (1, 1),
        r"(x|context)_embedder": (1, 0),
        r"norm_out_linear": (2, 1),
        r"proj_out": (0, 1),
    },
    sizes={
        3072: Size(("klein",), {"transformer_blocks": 5, "single_transformer_blocks": 20}),
        4096: Size(("klein9b",), {"transformer_blocks": 8, "single_transformer_blocks": 24}),
        6144: Size((), {"transformer_blocks": 8, "single_transformer_blocks": 48}, title="FLUX.2 dev"),
    },
    renamed=(
        *DOUBLE_ATTENTION,
        (r"sformer_blocks_(.+)", r"transformer_blocks_\1"),
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
        (r"final_layer_adaLN_modulation_1", "norm_out_linear"),
        (r"((?:single|double)_stream_modulation(?:_img|_txt)?)_lin", r"\1_linear"),
    ),
    swapped="final_layer_adaLN_modulation_1",
)
