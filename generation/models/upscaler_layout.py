"""What upscaler a file holds, told from the names and shapes in its header: RRDBNet (ESRGAN) or SRVGGNetCompact.

Three programs wrote RRDBNet under three sets of names; all are read as Real-ESRGAN's. No torch: the engine builds the
network that `UpscalerLayout` describes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import isqrt

from generation.models.checkpoint import IncompatibleFileError, Shapes
from generation.requests.upscalers import SCALES

_PREFIX = re.compile(r"(params_ema|params|module)\.")
_RENAMES = (
    (
        re.compile(r"(?:body|RRDB_trunk|model\.1\.sub)\.(\d+)\.(?:rdb|RDB)(\d)\.conv(\d)(?:\.0)?"),
        r"body.\1.rdb\2.conv\3",
    ),
    (re.compile(r"conv_body|trunk_conv|model\.1\.sub\.\d+"), "conv_body"),
    (re.compile(r"(?:conv_up|upconv)(\d)"), r"conv_up\1"),
    (re.compile(r"conv_hr|HRconv"), "conv_hr"),
    (re.compile(r"conv_first|model\.0"), "conv_first"),
    (re.compile(r"conv_last"), "conv_last"),
)
"""Real-ESRGAN's names, those of BSRGAN and of the first ESRGAN, without the last: to the first of these."""
_BLOCK = re.compile(r"body\.(\d+)\.rdb\d\.conv\d\.weight")
_COMPACT = re.compile(r"body\.(\d+)\.(weight|bias)")
_OTHERS = (
    (r"\.conv1x1\.", "ESRGAN+"),
    (r"residual_group\.overlap_attn\.|\.conv_block\.cab\.", "HAT"),
    (r"residual_group\.td$|relative_position_index_SA$", "ATD"),
    (r"\.swin\d\.attn\.", "DRCT"),
    (r"blocks\.\d+\.(ffn\.sg\.|attn\.attn_mask)", "DAT"),
    (r"blocks\.\d+\.(gamma$|attn\.attns\.\d+\.rpe_biases)", "RGT"),
    (r"attn\.(logit_scale|cpb_mlp)", "Swin2SR in another layout"),
    (r"layers\.\d+\.residual_group\.blocks\.", "SwinIR"),
    (r"residual_layer\.\d+\.residual_layer\.", "OmniSR"),
    (r"block_\d\.c1_r\.", "SPAN"),
    (r"^gblocks\.\d+\.", "MoSR"),
    (r"^feats\.\d+\.(lk|refine|channe_mixer|channel_mixer|safm)\.|^feats\.\d+\.lk", "PLKSR"),
    (r"^unet1\.conv_bottom\.", "Real-CUGAN"),
    (r"^body\.0\.body\.0\.body\.", "RCAN"),
    (r"stylegan_decoder|toRGB\.", "GFPGAN, which repairs faces"),
    (r"^m_(head|tail)\.\d", "SCUNet"),
    (r"^conv_first\.|(^|\.)(rdb|RDB)1\.", ""),
)
"""Networks that enlarge and cannot be run, by the names in them; the last is of a kind that has no name here."""
_NUM_COLOURS = 3


class Network(StrEnum):
    """A kind of network that enlarges."""

    RRDB = "rrdb"
    COMPACT = "compact"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscalerLayout:
    """The sizes of a network, and the file's name of each of its tensors, by the network's own."""

    network: Network
    scale: int
    """How many times the width and height of a picture come out."""
    num_features: int
    num_blocks: int
    """Dense blocks of an RRDBNet; convolutions between the first and the last of a compact one."""
    num_growth: int = 0
    num_ups: int = 0
    unshuffle: int = 1
    """How many pixels a side are put beside each other as channels before the first convolution."""
    names: Mapping[str, str]


def is_upscaler(shapes: Shapes) -> bool:
    """Return whether the file holds a network that enlarges pictures, also one that cannot be run."""
    names = _rename(shapes)
    return any(map(_BLOCK.fullmatch, names)) or _is_compact(names) or _find_other(shapes) is not None


def read_layout(shapes: Shapes) -> UpscalerLayout:
    """Return the layout of an upscaler. Raise `IncompatibleFileError` for one that cannot be run, or is not whole."""
    names = _rename(shapes)
    other = _find_other(shapes)
    if other or (not (is_rrdb := any(map(_BLOCK.fullmatch, names))) and not _is_compact(names)):
        which = f"an upscaler of the kind {other}" if other else "an upscaler of a kind that is not known here"
        raise IncompatibleFileError(f"is {which}", "Upscalers of the ESRGAN family are run here.")
    renamed = {name: shapes[written] for name, written in names.items()}
    return _read_rrdb(renamed, names) if is_rrdb else _read_compact(renamed, names)


def _find_other(shapes: Shapes) -> str | None:
    """Return the name of a network that cannot be run, empty where it has none; None if it is no such network."""
    is_known = any(_BLOCK.fullmatch(name) for name in _rename(shapes))
    for pattern, name in _OTHERS:
        if any(re.search(pattern, each) for each in shapes):
            return name or (None if is_known else "")
    return None


def _rename(shapes: Shapes) -> dict[str, str]:
    """Return the file's name of each tensor, by the name that the engine gives it."""
    plain = {_PREFIX.sub("", name, count=1) if _PREFIX.match(name) else name: name for name in shapes}
    numbers = [int(found[1]) for name in plain if (found := re.fullmatch(r"model\.(\d{1,2})\.weight", name))]
    last = max(numbers, default=0)
    return {_rename_one(name, last): written for name, written in plain.items()}


def _rename_one(name: str, last: int) -> str:
    """Return the engine's name. In the first ESRGAN's list of layers each doubling takes three places."""
    stem, _, end = name.rpartition(".")
    for pattern, into in _RENAMES:
        if found := pattern.fullmatch(stem):
            return f"{found.expand(into)}.{end}"
    if not (listed := re.fullmatch(r"model\.(\d{1,2})", stem)):
        return name
    number = int(listed[1])
    if number in (last, last - 2):
        return f"conv_{'last' if number == last else 'hr'}.{end}"
    return f"conv_up{number // 3}.{end}" if number % 3 == 0 else name


def _is_compact(names: Mapping[str, str]) -> bool:
    return {"body.0.weight", "body.1.weight"} <= names.keys() and all(map(_COMPACT.fullmatch, names))


def _read_rrdb(shapes: Shapes, names: Mapping[str, str]) -> UpscalerLayout:
    num_features, reads = _leading_sides(shapes, "conv_first.weight")
    num_growth, _ = _leading_sides(shapes, "body.0.rdb1.conv1.weight")
    num_ups = sum(bool(re.fullmatch(r"conv_up\d\.weight", name)) for name in shapes)
    num_blocks = len({found[1] for name in shapes if (found := _BLOCK.fullmatch(name))})
    unshuffle = isqrt(reads // _NUM_COLOURS)
    if reads not in (_NUM_COLOURS, 4 * _NUM_COLOURS, 16 * _NUM_COLOURS):
        raise IncompatibleFileError(f"reads {reads} channels, and a picture has {_NUM_COLOURS}", _LOOK)
    scale, rest = divmod(2**num_ups, unshuffle)
    if rest or scale not in SCALES:
        raise IncompatibleFileError(f"enlarges in {num_ups} steps what it reads {unshuffle} times smaller", _LOOK)
    _require_shapes(shapes, dict(_list_rrdb(num_features, num_growth, num_blocks, num_ups, reads)))
    return UpscalerLayout(
        network=Network.RRDB,
        scale=scale,
        num_features=num_features,
        num_blocks=num_blocks,
        num_growth=num_growth,
        num_ups=num_ups,
        unshuffle=unshuffle,
        names=names,
    )


def _list_rrdb(
    num_features: int, num_growth: int, num_blocks: int, num_ups: int, reads: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _list_convolution("conv_first", reads, num_features)
    for block in range(num_blocks):
        for dense in (1, 2, 3):
            for number in range(1, 6):
                takes, gives = num_features + (number - 1) * num_growth, num_growth if number < 5 else num_features
                yield from _list_convolution(f"body.{block}.rdb{dense}.conv{number}", takes, gives)
    for name in ("conv_body", *(f"conv_up{number + 1}" for number in range(num_ups)), "conv_hr"):
        yield from _list_convolution(name, num_features, num_features)
    yield from _list_convolution("conv_last", num_features, _NUM_COLOURS)


def _read_compact(shapes: Shapes, names: Mapping[str, str]) -> UpscalerLayout:
    num_features, reads = _leading_sides(shapes, "body.0.weight")
    last = max(int(found[1]) for name in shapes if (found := _COMPACT.fullmatch(name)))
    gives, _ = _leading_sides(shapes, f"body.{last}.weight")
    scale = isqrt(gives // _NUM_COLOURS)
    if reads != _NUM_COLOURS or scale * scale * _NUM_COLOURS != gives or scale not in SCALES:
        raise IncompatibleFileError(f"makes {gives} channels of {reads}, and a picture has {_NUM_COLOURS}", _LOOK)
    num_blocks = sum(len(shape) == 4 for shape in shapes.values()) - 2
    _require_shapes(shapes, dict(_list_compact(num_features, num_blocks, gives)))
    return UpscalerLayout(
        network=Network.COMPACT, scale=scale, num_features=num_features, num_blocks=num_blocks, names=names
    )


def _list_compact(num_features: int, num_blocks: int, gives: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for number in range(num_blocks + 1):
        yield from _list_convolution(f"body.{2 * number}", num_features if number else _NUM_COLOURS, num_features)
        yield f"body.{2 * number + 1}.weight", (num_features,)
    yield from _list_convolution(f"body.{2 * num_blocks + 2}", num_features, gives)


_LOOK = "Look for another upscaler of the ESRGAN family."


def _list_convolution(name: str, takes: int, gives: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (gives, takes, 3, 3)
    yield f"{name}.bias", (gives,)


def _leading_sides(shapes: Shapes, name: str) -> tuple[int, int]:
    """Return (gives, takes) of a convolution. Raise `IncompatibleFileError` where it is not there, or is none."""
    shape = shapes.get(name)
    if shape is None:
        raise IncompatibleFileError(f"is an upscaler that is not whole: {name} is missing", "Fetch it again.")
    if len(shape) != 4:
        raise IncompatibleFileError(f"is an upscaler whose {name} is no convolution", _LOOK)
    return shape[0], shape[1]


def _require_shapes(shapes: Shapes, wanted: Shapes) -> None:
    """Raise `IncompatibleFileError` unless these are the tensors of the network, all of them and no others."""
    if missing := [name for name in wanted if name not in shapes]:
        problem = f"is an upscaler that is not whole: {len(missing)} of its {len(wanted)} tensors are missing"
        raise IncompatibleFileError(f"{problem}, among them {missing[0]}", "Fetch it again.")
    if more := sorted(shapes.keys() - wanted.keys()):
        raise IncompatibleFileError(f"is an upscaler with layers that are not known here ({more[0]})", _LOOK)
    for name, shape in wanted.items():
        if shapes[name] != shape:
            problem = f"is an upscaler whose {name} has the shape {list(shapes[name])}, not {list(shape)}"
            raise IncompatibleFileError(problem, _LOOK)
