"""Reads the header of a GGUF file and checks its numbers. No torch, and no parser but this one sees the file.

The format, little endian: `GGUF`, a version, the numbers of tensors and of settings; settings (name, type, value);
tensors (name, dimensions with the fastest first, type, offset); then the data, aligned. Everything is a stranger's:
each length is compared with what is left of the file before it is used.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from generation.progress import advance

SUFFIX = ".gguf"
_MAGIC = b"GGUF"
_MAX_HEADER_BYTES = 64 * 1024 * 1024
_MAX_TENSORS, _MAX_SETTINGS, _MAX_NAME_BYTES = 100_000, 10_000, 256
_MAX_LISTED = 1_000_000
_ALIGNMENT = "general.alignment"
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_PIECE_BYTES = 64 * 1024 * 1024


class Format(NamedTuple):
    """How numbers of a type lie: blocks of `numbers` in `size` bytes, with numbers in float16 at `scales` in each."""

    name: str
    numbers: int
    size: int
    scales: tuple[int, ...] = ()


FORMATS: Mapping[int, Format] = {
    0: Format("F32", 1, 4),
    1: Format("F16", 1, 2, (0,)),
    2: Format("Q4_0", 32, 18, (0,)),
    3: Format("Q4_1", 32, 20, (0, 2)),
    6: Format("Q5_0", 32, 22, (0,)),
    7: Format("Q5_1", 32, 24, (0, 2)),
    8: Format("Q8_0", 32, 34, (0,)),
    10: Format("Q2_K", 256, 84, (80, 82)),
    11: Format("Q3_K", 256, 110, (108,)),
    12: Format("Q4_K", 256, 144, (0, 2)),
    13: Format("Q5_K", 256, 176, (0, 2)),
    14: Format("Q6_K", 256, 210, (208,)),
    20: Format("IQ4_NL", 32, 18, (0,)),
    23: Format("IQ4_XS", 256, 136, (0,)),
    30: Format("BF16", 1, 2),
}
"""The types that are read, by their number."""
WHOLE = frozenset((0, 1, 30))
"""Those that are numbers as torch has them."""


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """Where a tensor lies in its file."""

    shape: tuple[int, ...]
    """The slowest dimension first, as elsewhere."""
    kind: int
    begin: int
    size: int

    @property
    def byte_shape(self) -> tuple[int, ...]:
        """The shape of its bytes: rows stay rows."""
        form = FORMATS[self.kind]
        return (*self.shape[:-1], self.shape[-1] // form.numbers * form.size)


def read_gguf(path: Path) -> tuple[Mapping[str, GgufTensor], Mapping[str, str]]:
    """Return the tensors of a file and its settings as text, without those that are lists.

    Raise `ValueError` saying what is wrong with it.
    """
    try:
        with path.open("rb") as file:
            return _Reader(file, path.stat().st_size).read()
    except (OSError, struct.error, UnicodeDecodeError, OverflowError) as error:
        raise ValueError(f"is no GGUF file that can be read ({str(error)[:80]})") from None


def read_gguf_lists(path: Path, *names: str) -> Mapping[str, list[Any]]:
    """Return the settings of those names that are lists. Raise `ValueError` as `read_gguf` does."""
    lists: dict[str, list[Any]] = {name: [] for name in names}
    try:
        with path.open("rb") as file:
            _Reader(file, path.stat().st_size, lists).read()
    except (OSError, struct.error, UnicodeDecodeError, OverflowError) as error:
        raise ValueError(f"is no GGUF file that can be read ({str(error)[:80]})") from None
    return lists


def check_gguf(path: Path) -> str:
    """Read a file once and return its SHA-256. Raise `ValueError` naming a tensor with infinity or NaN.

    Of a block that holds whole numbers and scales only the scales can be that.
    """
    tensors, _ = read_gguf(path)
    whole, at = hashlib.sha256(), 0
    with path.open("rb") as file:
        for name, tensor in sorted(tensors.items(), key=lambda each: each[1].begin):
            whole.update(file.read(tensor.begin - at))
            at = tensor.begin + tensor.size
            form = FORMATS[tensor.kind]
            piece = _PIECE_BYTES // form.size * form.size
            for left in range(tensor.size, 0, -piece):
                data = file.read(min(piece, left))
                whole.update(data)
                advance(len(data))
                if not _is_finite(data, tensor.kind):
                    raise ValueError(f"holds numbers that are not finite ({name})")
        while rest := file.read(_PIECE_BYTES):
            whole.update(rest)
    return whole.hexdigest()


def _is_finite(data: bytes, kind: int) -> bool:
    if kind in (0, 30):
        bits, ones = (np.frombuffer(data, "<u4"), 0x7F800000) if kind == 0 else (np.frombuffer(data, "<u2"), 0x7F80)
        return not bool(np.any((bits & bits.dtype.type(ones)) == ones))
    form = FORMATS[kind]
    blocks = np.frombuffer(data, np.uint8).reshape(-1, form.size)
    scales = (np.ascontiguousarray(blocks[:, at : at + 2]).view("<u2") for at in form.scales)
    return not any(bool(np.any((each & np.uint16(0x7C00)) == 0x7C00)) for each in scales)


class _Reader:
    def __init__(self, file: BinaryIO, size: int, lists: Mapping[str, list[Any]] = MappingProxyType({})) -> None:
        """Put settings that are lists into `lists` if they have a name there; pass over the others."""
        self._file = file
        self._size = size
        self._lists = lists

    def read(self) -> tuple[Mapping[str, GgufTensor], Mapping[str, str]]:
        if self._take(4) != _MAGIC:
            raise ValueError("is no GGUF file")
        version, num_tensors, num_settings = struct.unpack("<IQQ", self._take(20))
        if version not in (2, 3):
            raise ValueError(f"is a GGUF file of version {version}, and 2 and 3 are read")
        if num_tensors > _MAX_TENSORS or num_settings > _MAX_SETTINGS:
            raise ValueError("is no GGUF file of a model: it names too many things")
        settings = dict(self._read_setting() for _ in range(num_settings))
        found = [self._read_tensor() for _ in range(num_tensors)]
        alignment = settings.get(_ALIGNMENT, 32)
        if not isinstance(alignment, int) or not 8 <= alignment <= 2**16 or alignment & (alignment - 1):
            raise ValueError("is a GGUF file whose data lie in no order that is known")
        start = -(-self._file.tell() // alignment) * alignment
        tensors = {name: self._place(name, shape, kind, start + offset) for name, shape, kind, offset in found}
        if len(tensors) != len(found):
            raise ValueError("is a GGUF file that names a tensor twice")
        self._require_apart(tensors)
        return tensors, {name: str(value) for name, value in settings.items() if value is not None}

    def _take(self, size: int) -> bytes:
        """Return the next bytes. Raise `ValueError` if the file, or a header of bearable length, ends before."""
        if size > min(self._size, _MAX_HEADER_BYTES) - self._file.tell():
            raise ValueError("is a GGUF file whose header does not end")
        return self._file.read(size)

    def _read_text(self, most: int) -> str:
        (length,) = struct.unpack("<Q", self._take(8))
        if length > most:
            raise ValueError("is a GGUF file with a name that is too long")
        return self._take(length).decode()

    def _read_setting(self) -> tuple[str, object]:
        name = self._read_text(_MAX_NAME_BYTES)
        (kind,) = struct.unpack("<I", self._take(4))
        if kind != _ARRAY:
            return name, self._read_value(kind)
        kind, count = struct.unpack("<IQ", self._take(12))
        if name in self._lists:
            if count > _MAX_LISTED:
                raise ValueError("is no GGUF file of a model: it names too many things")
            self._lists[name].extend(self._read_value(kind) for _ in range(count))
        elif kind == _STRING:
            for _ in range(min(count, _MAX_HEADER_BYTES)):
                self._read_text(_MAX_HEADER_BYTES)
        elif kind in _SCALARS:
            self._take(count * struct.calcsize(_SCALARS[kind]))
        else:
            raise ValueError("is a GGUF file with settings of a kind that is not known")
        return name, None

    def _read_value(self, kind: int) -> object:
        if kind == _STRING:
            return self._read_text(_MAX_HEADER_BYTES)
        if kind not in _SCALARS:
            raise ValueError("is a GGUF file with settings of a kind that is not known")
        (value,) = struct.unpack(_SCALARS[kind], self._take(struct.calcsize(_SCALARS[kind])))
        return value

    def _read_tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._read_text(_MAX_NAME_BYTES)
        (rank,) = struct.unpack("<I", self._take(4))
        if not 1 <= rank <= 4:
            raise ValueError(f"is a GGUF file with a tensor of {rank} dimensions ({name})")
        *dimensions, kind, offset = struct.unpack(f"<{rank}QIQ", self._take(8 * rank + 12))
        return name, tuple(reversed(dimensions)), kind, offset

    def _place(self, name: str, shape: tuple[int, ...], kind: int, begin: int) -> GgufTensor:
        form = FORMATS.get(kind)
        if form is None:
            known = ", ".join(each.name for each in FORMATS.values())
            raise ValueError(f"holds numbers of a type that is not read here ({name}: {kind}); {known} are")
        count = math.prod(shape)
        if not count or shape[-1] % form.numbers:
            raise ValueError(f"is a GGUF file with a tensor of a shape that its type cannot have ({name})")
        size = count // form.numbers * form.size
        if begin + size > self._size:
            raise ValueError(f"is a GGUF file that ends before its data do ({name})")
        return GgufTensor(shape, kind, begin, size)

    def _require_apart(self, tensors: Mapping[str, GgufTensor]) -> None:
        end = 0
        for name, tensor in sorted(tensors.items(), key=lambda each: each[1].begin):
            if tensor.begin < end:
                raise ValueError(f"is a GGUF file with data that overlap ({name})")
            end = tensor.begin + tensor.size
