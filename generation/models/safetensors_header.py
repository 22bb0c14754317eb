"""Reads the header of a safetensors file, and checks that its numbers are finite. No torch: the bot uses it.

The safetensors library judges the header (its length, offsets that overlap or leave holes, unknown formats); a pickle
that was renamed has none. Only then are numbers looked at, in pieces, by their bits.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from generation.models.gguf_header import SUFFIX, WHOLE, check_gguf, read_gguf
from generation.progress import advance

_PIECE_BYTES = 64 * 1024 * 1024
_EXPONENTS = {
    "F8_E4M3": ("u1", 0x7F),  # has no infinity
    "F8_E5M2": ("u1", 0x7C),
    "BF16": ("<u2", 0x7F80),
    "F16": ("<u2", 0x7C00),
    "F32": ("<u4", 0x7F800000),
    "F64": ("<u8", 0x7FF0000000000000),
}
"""By number format: an integer of its size, and the bits that are all ones in infinity and not-a-number."""
_WHOLE_NUMBERS = frozenset(("BOOL", "U8", "I8", "I16", "U16", "I32", "U32", "I64", "U64"))


@dataclass(frozen=True, slots=True)
class Tensors:
    """The header of a file: shapes by tensor name, its free text, and bytes of those kept small in memory."""

    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]
    stored_bytes: Mapping[str, int] = field(default_factory=dict)


def read_tensors(path: Path) -> Tensors:
    """Return the header of a file of weights. Raise `ValueError` saying what is wrong with it."""
    if path.suffix == SUFFIX:
        found, texts = read_gguf(path)
        stored = {name: each.size for name, each in found.items() if each.kind not in WHOLE}
        return Tensors({name: each.shape for name, each in found.items()}, texts, stored)
    try:
        with safe_open(path, framework="np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            shapes = {name: tuple(each.get_shape()) for name, each in slices.items()}
            stored = {name: prod(shapes[name]) for name, each in slices.items() if each.get_dtype().startswith("F8_")}
            return Tensors(shapes, file.metadata() or {}, stored)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"is no safetensors file ({error})") from None


def check_numbers(path: Path) -> str:
    """Read a file of weights once, from its first byte to its last, and return its SHA-256.

    Raise `ValueError` naming a tensor that holds infinity or NaN.
    """
    if path.suffix == SUFFIX:
        return check_gguf(path)
    read_tensors(path)  # what follows trusts the offsets: they leave no holes
    whole = hashlib.sha256()
    with path.open("rb") as file:
        head = file.read(8)
        text = file.read(struct.unpack("<Q", head)[0])
        whole.update(head + text)
        header = json.loads(text)
        header.pop("__metadata__", None)
        for name, tensor in sorted(header.items(), key=lambda each: each[1]["data_offsets"]):
            begin, end = tensor["data_offsets"]
            for piece in range(begin, end, _PIECE_BYTES):
                data = file.read(min(_PIECE_BYTES, end - piece))
                whole.update(data)
                advance(len(data))
                _require_finite(name, tensor["dtype"], data)
    return whole.hexdigest()


def is_zero(path: Path, name: str) -> bool:
    """Return whether all numbers of a tensor are zero. Raise `ValueError` if the file cannot be read."""
    if path.suffix == SUFFIX:
        return False
    read_tensors(path)
    with path.open("rb") as file:
        start = 8 + struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(start - 8))
        begin, end = header[name]["data_offsets"]
        file.seek(start + begin)
        return not np.frombuffer(file.read(end - begin), np.uint8).any()


def _require_finite(name: str, dtype: str, data: bytes) -> None:
    if dtype in _WHOLE_NUMBERS:
        return
    if dtype not in _EXPONENTS:
        raise ValueError(f"holds numbers of a kind that is not read here ({name}: {dtype})")
    kind, exponent = _EXPONENTS[dtype]
    bits = np.frombuffer(data, kind)
    if bool(np.any((bits & np.array(exponent, kind)) == exponent)):
        raise ValueError(f"holds numbers that are not finite ({name})")
