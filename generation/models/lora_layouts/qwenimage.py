"""LoRA of Qwen-Image and of what edits with its transformer. Its authors' names are diffusers'. No torch."""

from __future__ import annotations

from generation.models.lora_layouts.base import LoraLayout, Size
from generation.models.lora_layouts.flux import ATTENTION

LAYOUT = LoraLayout(
    network="QwenImageTransformer2DModel",
    layers={
        ATTENTION: (1, 1),
        r"transformer_blocks_#_(img|txt)_mlp_net_0_proj": (4, 1),
        r"transformer_blocks_#_(img|txt)_mlp_net_2": (1, 4),
        r"transformer_blocks_#_(img|txt)_mod_1": (6, 1),
        r"time_text_embed_timestep_embedder_linear_1": (1, 0),
        r"time_text_embed_timestep_embedder_linear_2": (1, 1),
        r"(img|txt)_in": (1, 0),
        r"norm_out_linear": (2, 1),
        r"proj_out": (0, 1),
    },
    sizes={3072: Size(("qwenimage", "qwenedit", "qweneditplus"), {"transformer_blocks": 60})},
)
