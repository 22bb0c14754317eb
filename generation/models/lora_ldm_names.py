"""Layers of a UNet by Stability's own names, which kohya's scripts use for XL, and by those of diffusers. No torch.

Both with underscores for points: `input_blocks_4_1_proj_in` is `down_blocks_1_attentions_0_proj_in`.
"""

from __future__ import annotations

import re

_RESNET = {
    "in_layers_2": "conv1",
    "emb_layers_1": "time_emb_proj",
    "out_layers_3": "conv2",
    "skip_connection": "conv_shortcut",
}
_ENDS = {
    "input_blocks_0_0": "conv_in",
    "time_embed_0": "time_embedding_linear_1",
    "time_embed_2": "time_embedding_linear_2",
    "label_emb_0_0": "add_embedding_linear_1",
    "label_emb_0_2": "add_embedding_linear_2",
    "out_2": "conv_out",
}
_PLACES = {"0": "resnets", "1": "attentions"}
_MIDDLE = ("resnets_0", "attentions_0", "resnets_1")
_BLOCK = re.compile(r"(input|output)_blocks_(\d+)_([012])_(.+)|middle_block_([012])_(.+)")


def name_by_diffusers(layer: str, layers_per_block: int) -> str:
    """Return a layer by diffusers' name; as it is if it has one of those already."""
    found = _BLOCK.fullmatch(layer)
    if found is None:
        return _ENDS.get(layer, layer)
    side, index, place, rest, middle, rest_of_middle = found.groups()
    if middle is not None:
        return f"mid_block_{_name_inside(_MIDDLE[int(middle)], rest_of_middle)}"
    before = 1 if side == "input" else 0  # the first of the inputs is the convolution before all blocks
    block, number = divmod(int(index) - before, layers_per_block + 1)
    within = f"{'down' if side == 'input' else 'up'}_blocks_{block}"
    if rest == "op":
        return f"{within}_downsamplers_0_conv"
    if place != "0" and rest == "conv":
        return f"{within}_upsamplers_0_conv"
    if place == "2":
        return layer
    return f"{within}_{_name_inside(f'{_PLACES[place]}_{number}', rest)}"


def _name_inside(module: str, rest: str) -> str:
    return f"{module}_{_RESNET.get(rest, rest) if module.startswith('resnets') else rest}"
