"""What upscaler a file holds, from its header alone; all others are refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from generation.models.checkpoint import IncompatibleFileError
from generation.models.inspect import describe
from generation.models.registry import Kind
from generation.models.upscaler_layout import Network, is_upscaler, read_layout
from tests.generation.engine.upscalers.toy_upscalers import TOYS, compact, rrdb

Shapes = dict[str, tuple[int, ...]]


def shapes_of(weights: dict[str, Any]) -> Shapes:
    return {name: array.shape for name, array in weights.items()}


RRDB, COMPACT = shapes_of(rrdb(num_blocks=2)), shapes_of(compact(scale=4))


def changed(shapes: Shapes, *gone: str, **given: tuple[int, ...]) -> Shapes:
    kept = {name: shape for name, shape in shapes.items() if not name.startswith(gone)} if gone else dict(shapes)
    return kept | {name.replace("__", "."): shape for name, shape in given.items()}


def only(*names: str) -> Shapes:
    return dict.fromkeys(names, (4, 4))


@pytest.mark.parametrize("name", TOYS)
def test_an_upscaler_is_known_by_its_header(name: str, tmp_path: Path) -> None:
    found = describe(TOYS[name].save(tmp_path / "toy.safetensors"))
    assert (found.kind, found.scale) == (Kind.UPSCALER, TOYS[name].scale)


def test_sizes_are_read_from_the_shapes() -> None:
    wide = read_layout(shapes_of(rrdb(num_blocks=2, unshuffle=2)))
    assert (wide.network, wide.num_blocks, wide.num_growth, wide.unshuffle) == (Network.RRDB, 2, 32, 2)
    small = read_layout(shapes_of(compact(scale=4, num_convolutions=3)))
    assert (small.network, small.num_blocks, small.scale) == (Network.COMPACT, 3, 4)


REFUSED: dict[str, tuple[Shapes, str]] = {
    "without a block": (changed(RRDB, "body.0."), r"body\.0\.rdb1\.conv1\.weight is missing"),
    "without a part of a block": (changed(RRDB, "body.1.rdb2."), "not whole: 10 of its .* body.1.rdb2.conv1"),
    "without its end": (changed(RRDB, "conv_last"), "among them conv_last"),
    "without its beginning": (changed(RRDB, "conv_first"), "conv_first.weight is missing"),
    "blocks with gaps": (changed(RRDB, "body.1.") | {"body.99.rdb1.conv1.weight": (32, 4, 3, 3)}, "not whole"),
    "grey pictures": (changed(RRDB, conv_first__weight=(4, 1, 3, 3)), "reads 1 channels"),
    "too many colours": (changed(RRDB, conv_last__weight=(4, 4, 3, 3)), "has the shape"),
    "other kernels": (changed(RRDB, conv_hr__weight=(4, 4, 1, 1)), "has the shape"),
    "more layers": (changed(RRDB, attention__weight=(4, 4)), "layers that are not known here"),
    "no convolution": (changed(RRDB, conv_first__weight=(4,)), "is no convolution"),
    "makes it smaller": (shapes_of(rrdb(num_ups=1, unshuffle=4)), "enlarges in 1 steps"),
    "far too large": (shapes_of(rrdb(num_ups=4)), "enlarges in 4 steps"),
    "compact without a layer": (changed(COMPACT, "body.2."), "not whole|has the shape|not known"),
    "compact of five": (changed(COMPACT, body__6__weight=(75, 4, 3, 3), body__6__bias=(75,)), "makes 75 channels"),
    "compact of odd channels": (changed(COMPACT, body__6__weight=(50, 4, 3, 3)), "makes 50 channels"),
    "ESRGAN+": (changed(RRDB, body__0__rdb1__conv1x1__weight=(32, 4, 1, 1)), r"of the kind ESRGAN\+"),
    "SwinIR": (only("conv_first.weight", "layers.0.residual_group.blocks.0.norm1.weight"), "of the kind SwinIR"),
    "Swin2SR": (only("conv_first.weight", "layers.0.residual_group.blocks.0.attn.logit_scale"), "of the kind Swin2SR"),
    "HAT": (
        only(
            "conv_first.weight",
            "layers.0.residual_group.blocks.0.norm1.weight",
            "layers.0.residual_group.blocks.0.conv_block.cab.0.weight",
        ),
        "of the kind HAT",
    ),
    "DAT": (only("conv_first.weight", "layers.0.blocks.0.ffn.sg.norm.weight"), "of the kind DAT"),
    "ATD": (only("relative_position_index_SA", "conv_first.weight"), "of the kind ATD"),
    "DRCT": (only("conv_first.weight", "layers.0.swin1.attn.qkv.weight"), "of the kind DRCT"),
    "RGT": (only("conv_first.weight", "layers.0.blocks.0.gamma"), "of the kind RGT"),
    "OmniSR": (only("residual_layer.0.residual_layer.0.layer.0.fn.0.weight", "input.weight"), "of the kind OmniSR"),
    "SPAN": (only("conv_1.sk.weight", "block_1.c1_r.sk.weight"), "of the kind SPAN"),
    "PLKSR": (only("feats.0.weight", "feats.1.lk.conv.weight", "feats.1.refine.weight"), "of the kind PLKSR"),
    "Real-CUGAN": (only("unet1.conv_bottom.weight"), "of the kind Real-CUGAN"),
    "RCAN": (only("head.0.weight", "body.0.body.0.body.0.weight"), "of the kind RCAN"),
    "GFPGAN": (only("stylegan_decoder.style_mlp.1.weight"), "of the kind GFPGAN"),
    "one that is new": (only("conv_first.weight", "blocks.0.novel.weight"), "of a kind that is not known here"),
}


@pytest.mark.parametrize(("shapes", "said"), REFUSED.values(), ids=REFUSED)
def test_other_upscalers_are_refused_in_a_sentence(shapes: Shapes, said: str) -> None:
    assert is_upscaler(shapes)
    with pytest.raises(IncompatibleFileError, match=said) as refused:
        read_layout(shapes)
    assert refused.value.remedy.endswith(".")


@pytest.mark.parametrize(
    "shapes",
    [
        only("lora_unet_down_blocks_0.lora_down.weight"),
        only("model.diffusion_model.input_blocks.0.0.weight"),
        only("emb_params"),
        only("body.0.weight", "body.1.weight", "tail.weight"),
        {},
    ],
)
def test_what_enlarges_nothing_is_no_upscaler(shapes: Shapes) -> None:
    assert not is_upscaler(shapes)


def test_a_name_with_a_huge_number_costs_nothing(tmp_path: Path) -> None:
    weights: dict[str, np.ndarray] = {f"body.{10**12}.rdb1.conv1.weight": np.zeros((4, 4, 3, 3), np.float32)}
    save_file(weights | {"conv_first.weight": np.zeros((4, 3, 3, 3), np.float32)}, tmp_path / "huge.safetensors")
    with pytest.raises(IncompatibleFileError, match="is missing"):
        describe(tmp_path / "huge.safetensors")
