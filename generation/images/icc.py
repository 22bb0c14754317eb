"""Builds an ICC profile from a PNG's gamma and primaries."""

from __future__ import annotations

import struct
from collections.abc import Sequence

_SRGB_GAMMA = range(43000, 48001)
"""Of a PNG, in hundred thousandths: what is written for sRGB."""
SRGB = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_D50 = (0.9642, 1.0, 0.8249)
_Vector = Sequence[float]
_Matrix = Sequence[_Vector]


def profile_of(gamma: float, chromaticity: _Vector) -> bytes:
    """Return the ICC profile of a PNG's gAMA (the exponent of its encoding) and cHRM (x, y of white, red, green, blue).

    Raise `ArithmeticError` or `ValueError` for numbers that no screen has.
    """
    if not 0.1 <= gamma <= 10:
        raise ValueError("no gamma of a screen")
    white, red, green, blue = (_encode_xyz(*chromaticity[at : at + 2]) for at in (0, 2, 4, 6))
    primaries = _transpose((red, green, blue))
    scales = _times(_invert(primaries), white)
    cones = zip(_times(_BRADFORD, _D50), _times(_BRADFORD, white), strict=True)
    gains = [to / of for to, of in cones]
    columns = []
    for column, scale in zip((red, green, blue), scales, strict=True):
        adapted = [gain * cone for gain, cone in zip(gains, _times(_BRADFORD, column), strict=True)]
        columns.append([scale * each for each in _times(_invert(_BRADFORD), adapted)])
    return _build_icc(columns, gamma)


def _build_icc(columns: _Matrix, gamma: float) -> bytes:
    curve = b"curv\0\0\0\0" + struct.pack(">IH2x", 1, round(256 / gamma))
    if round(gamma * 100_000) in _SRGB_GAMMA:
        curve = b"para\0\0\0\0" + struct.pack(
            ">HH5i", 3, 0, *map(_fixed, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
        )
    tags = {name: _encode_point(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    tags |= {b"wtpt": _encode_point(_D50), **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)}
    start = 132 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += name + struct.pack(">II", start + len(body), len(tag))
        body += tag
    head = struct.pack(
        ">I4sI4s4s4s12x4s28x12s48x",
        start + len(body),
        b"",
        0x04200000,
        b"mntr",
        b"RGB ",
        b"XYZ ",
        b"acsp",
        _encode_point(_D50)[8:],
    )
    return head + table + body


def _encode_point(xyz: _Vector) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *map(_fixed, xyz))


def _fixed(number: float) -> int:
    return round(number * 65536)


def _encode_xyz(x: float, y: float) -> _Vector:
    return x / y, 1.0, (1 - x - y) / y


def _times(matrix: _Matrix, vector: _Vector) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def _transpose(matrix: _Matrix) -> _Matrix:
    return list(zip(*matrix, strict=True))


def _invert(matrix: _Matrix) -> _Matrix:
    a, b, c = matrix
    minors = _cross(b, c), _cross(c, a), _cross(a, b)
    determinant = sum(x * y for x, y in zip(a, minors[0], strict=True))
    return [[each / determinant for each in row] for row in _transpose(minors)]


def _cross(a: _Vector, b: _Vector) -> _Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
