"""LoRA of Z-Image. No torch."""

from __future__ import annotations

from generation.models.lora_layouts.base import LoraLayout, Size

_BLOCKS = r"(layers|noise_refiner|context_refiner)"
_NUMBERS = {"layers": 30, "noise_refiner": 2, "context_refiner": 2}

LAYOUT = LoraLayout(
    network="ZImageTransformer2DModel",
    layers={
        rf"{_BLOCKS}_#_attention_to_([qkv]|out_0)": (1, 1),
        rf"{_BLOCKS}_#_attention_to_qkv": (3, 1),
        rf"{_BLOCKS}_#_feed_forward_w[13]": (0, 1),
        rf"{_BLOCKS}_#_feed_forward_w2": (1, 0),
        rf"{_BLOCKS}_#_adaLN_modulation_0": (4, 0),
        r"all_final_layer_2-1_adaLN_modulation_1": (1, 0),
        r"all_final_layer_2-1_linear": (0, 1),
        r"all_x_embedder_2-1|cap_embedder_1": (1, 0),
        r"t_embedder_mlp_[02]": (0, 0),
    },
    sizes={3840: Size(("zimage",), _NUMBERS), 2304: Size((), _NUMBERS, title="Lumina 2")},
    renamed=(
        (rf"{_BLOCKS}_(\d+)_attention_qkv", r"\1_\2_attention_to_qkv"),
        (rf"{_BLOCKS}_(\d+)_attention_out", r"\1_\2_attention_to_out_0"),
        (r"(x_embedder|final_layer_.+)", r"all_\1"),
        (r"all_(x_embedder|final_layer)(?!_2-1)(.*)", r"all_\1_2-1\2"),
    ),
)
