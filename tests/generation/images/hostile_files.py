"""Picture files that are hostile, or merely unusual."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image


def saved(kind: str, mode: str, size: tuple[int, int], **options: Any) -> bytes:
    """A plain picture of a kind and mode."""
    buffer = io.BytesIO()
    colour = 128 if mode in ("L", "P", "I;16") else None
    Image.new(mode, size, colour).save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def header_only(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that its data does not have."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(png: bytes, kind: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk, behind its header."""
    return png[:33] + chunk(kind, data) + png[33:]


def text_bomb(megabytes: int) -> bytes:
    """A small PNG whose compressed text unpacks to so many megabytes."""
    packer, megabyte = zlib.compressobj(9, wbits=-zlib.MAX_WBITS), bytes(1 << 20)
    block = packer.compress(megabyte) + packer.flush(zlib.Z_FULL_FLUSH)  # stands for itself: repeated, not packed anew
    check = (megabytes << 20) % 65521 << 16 | 1  # Adler-32 of so many zeros
    packed = b"\x78\xda" + block * megabytes + packer.flush() + check.to_bytes(4, "big")
    return with_chunk(saved("PNG", "RGB", (64, 64)), b"zTXt", b"bomb\0\0" + packed)


def many_frames(number: int) -> bytes:
    """An animated PNG."""
    frames = [Image.new("RGB", (64, 64), (n % 256, 0, 0)) for n in range(number)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:], duration=10)
    return buffer.getvalue()
