"""LoRA of Stable Diffusion 3 and 3.5. No torch."""

from __future__ import annotations

from generation.models.lora_layouts.base import LoraLayout, Size
from generation.models.lora_layouts.flux import ATTENTION

LAYOUT = LoraLayout(
    network="SD3Transformer2DModel",
    layers={
        ATTENTION: (1, 1),
        r"transformer_blocks_#_attn_to_(added_)?qkv": (3, 1),
        r"transformer_blocks_#_attn2_(to_[qkv]|to_out_0)": (1, 1),
        r"transformer_blocks_#_attn2_to_qkv": (3, 1),
        r"transformer_blocks_#_ff(_context)?_net_0_proj": (4, 1),
        r"transformer_blocks_#_ff(_context)?_net_2": (1, 4),
        r"transformer_blocks_#_norm1(_context)?_linear": (0, 1),  # 9 with a second attention, 2 in the last block
        r"pos_embed_proj|context_embedder": (1, 0),
        r"time_text_embed_(timestep|text)_embedder_linear_1": (1, 0),
        r"time_text_embed_(timestep|text)_embedder_linear_2": (1, 1),
        r"norm_out_linear": (2, 1),
        r"proj_out": (0, 1),
    },
    sizes={
        1536: Size(("sd3",), {"transformer_blocks": 24}),
        2432: Size(("sd3large",), {"transformer_blocks": 38}),
    },
    renamed=(
        (r"joint_blocks_(\d+)_x_block_attn(2?)_qkv", r"transformer_blocks_\1_attn\2_to_qkv"),
        (r"joint_blocks_(\d+)_x_block_attn(2?)_proj", r"transformer_blocks_\1_attn\2_to_out_0"),
        (r"joint_blocks_(\d+)_x_block_mlp_fc1", r"transformer_blocks_\1_ff_net_0_proj"),
        (r"joint_blocks_(\d+)_x_block_mlp_fc2", r"transformer_blocks_\1_ff_net_2"),
        (r"joint_blocks_(\d+)_x_block_adaLN_modulation_1", r"transformer_blocks_\1_norm1_linear"),
        (r"joint_blocks_(\d+)_context_block_attn_qkv", r"transformer_blocks_\1_attn_to_added_qkv"),
        (r"joint_blocks_(\d+)_context_block_attn_proj", r"transformer_blocks_\1_attn_to_add_out"),
        (r"joint_blocks_(\d+)_context_block_mlp_fc1", r"transformer_blocks_\1_ff_context_net_0_proj"),
        (r"joint_blocks_(\d+)_context_block_mlp_fc2", r"transformer_blocks_\1_ff_context_net_2"),
        (r"joint_blocks_(\d+)_context_block_adaLN_modulation_1", r"transformer_blocks_\1_norm1_context_linear"),
        (r"x_embedder_proj", "pos_embed_proj"),
        (r"t_embedder_mlp_0", "time_text_embed_timestep_embedder_linear_1"),
        (r"t_embedder_mlp_2", "time_text_embed_timestep_embedder_linear_2"),
        (r"y_embedder_mlp_0", "time_text_embed_text_embedder_linear_1"),
        (r"y_embedder_mlp_2", "time_text_embed_text_embedder_linear_2"),
        (r"final_layer_linear", "proj_out"),
        (r"final_layer_adaLN_modulation_1", "norm_out_linear"),
    ),
    swapped=r"final_layer_adaLN_modulation_1|joint_blocks_\d+_context_block_adaLN_modulation_1",
    texts=("lora_te1_", "lora_te2_"),
)
