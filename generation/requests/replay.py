"""A picture to be made again exactly."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import UNSET, UnsetType


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Make a picture again exactly: the trace to follow, and the SHA-256 of the pixels that should come out."""

    trace: str
    pixels_sha256: str
    original: str | None = None
    """SHA-256 of the file to compare the outcome with, where there is one."""
    is_unseen: bool = False
    """Painted only to have that file again, because another picture starts from it: other bytes are of no use."""
    fingerprint: str | UnsetType = UNSET
    """Digest of the fingerprint under which those pixels are promised, without `storage`. Earlier rows have none."""
