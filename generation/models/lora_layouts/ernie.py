"""LoRA of ERNIE-Image. Its authors' names are diffusers'. No torch."""

from __future__ import annotations

from generation.models.lora_layouts.base import LoraLayout, Size

LAYOUT = LoraLayout(
    network="ErnieImageTransformer2DModel",
    layers={
        r"layers_#_self_attention_to_([qkv]|out_0)": (1, 1),
        r"layers_#_mlp_(gate|up)_proj": (0, 1),
        r"layers_#_mlp_linear_fc2": (1, 0),
        r"x_embedder_proj|text_proj": (1, 0),
        r"time_embedding_linear_[12]": (1, 1),
        r"adaLN_modulation_1": (6, 1),
        r"final_norm_linear": (2, 1),
        r"final_linear": (0, 1),
    },
    sizes={4096: Size(("ernie",), {"layers": 36})},
)
