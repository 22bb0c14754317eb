"""The pipes of a child process: frames on stdin and stdout, and an end with its parent's."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from io import RawIOBase
from typing import BinaryIO

from generation.workers.frames import HEADER, read_frame_length

_PR_SET_PDEATHSIG = 1


class Wire:
    """Frames to the parent, whole, from any thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, frame: bytes) -> None:
        with self._lock:
            self._stream.write(frame)
            self._stream.flush()


def read_frame(source: RawIOBase) -> bytes | None:
    """Return the body of the next frame; None at the end, clean or torn."""
    header = _read_exactly(source, HEADER.size)
    return None if header is None else _read_exactly(source, read_frame_length(header))


def _read_exactly(source: RawIOBase, size: int) -> bytes | None:
    parts: list[bytes] = []
    while size and (part := source.read(size)):
        parts.append(part)
        size -= len(part)
    return None if size else b"".join(parts)


def claim_stdout() -> BinaryIO:
    """Take stdout for the protocol alone; other output of this process goes to stderr."""
    wire = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return wire


def open_stdin() -> RawIOBase:
    """Return stdin, unbuffered: a thread that waits in a buffered read holds a lock the interpreter wants when it
    shuts down."""
    return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)


def die_with_parent(parent_pid: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent_pid and os.getppid() != parent_pid:
        os._exit(0)
