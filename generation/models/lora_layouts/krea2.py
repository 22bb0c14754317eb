"""LoRA of Krea 2. No torch."""

from __future__ import annotations

from generation.models.lora_layouts.base import LoraLayout, Size

_TEXT = r"txtfusion_(layerwise|refiner)_blocks_(\d+)"

LAYOUT = LoraLayout(
    network="Krea2Transformer2DModel",
    layers={
        r"transformer_blocks_#_attn_to_(q|gate|out_0)": (1, 1),
        r"transformer_blocks_#_attn_to_[kv]": (0, 1),
        r"transformer_blocks_#_ff_(gate|up)": (0, 1),
        r"transformer_blocks_#_ff_down": (1, 0),
        r"text_fusion_(layerwise|refiner)_blocks_#_attn_to_([qkv]|gate|out_0)": (0, 0),
        r"text_fusion_(layerwise|refiner)_blocks_#_ff_(gate|up|down)": (0, 0),
        r"text_fusion_projector": (0, 0),
        r"txt_in_linear_1": (1, 0),
        r"txt_in_linear_2": (1, 1),
        r"time_embed_linear_1": (1, 0),
        r"time_embed_linear_2": (1, 1),
        r"time_mod_proj": (6, 1),
        r"img_in": (1, 0),
        r"final_layer_linear": (0, 1),
    },
    sizes={6144: Size(("krea2",), {"transformer_blocks": 28})},
    renamed=(
        (r"blocks_(\d+)_(attn|mlp)_(\w+)", r"transformer_blocks_\1_\2_\3"),
        (rf"{_TEXT}_(\w+)", r"text_fusion_\1_blocks_\2_\3"),
        (r"(\w+_blocks_\d+_attn)_w([qkv])", r"\1_to_\2"),
        (r"(\w+_blocks_\d+_attn)_wo", r"\1_to_out_0"),
        (r"(\w+_blocks_\d+_attn)_gate", r"\1_to_gate"),
        (r"(\w+_blocks_\d+)_mlp_(gate|up|down)", r"\1_ff_\2"),
        (r"first", "img_in"),
        (r"last_linear", "final_layer_linear"),
        (r"tmlp_0", "time_embed_linear_1"),
        (r"tmlp_2", "time_embed_linear_2"),
        (r"tproj_1", "time_mod_proj"),
        (r"txtmlp_1", "txt_in_linear_1"),
        (r"txtmlp_3", "txt_in_linear_2"),
        (r"txtfusion_projector", "text_fusion_projector"),
    ),
)
