"""Frames between the bot and a worker process: four bytes of length (big endian), then msgpack.

The first frame to the child is its `WorkerConfig`; every later one is a `Command`. Every frame from the child is a
list of events (none of them is a sign of life); before the first, `Starting`, or `StartupFailed` if the engine cannot
be built.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import msgspec

from generation.jobs.protocol import Command, Event, ModelsReport
from generation.models.catalog import Model
from generation.models.shared_additions import AddedChecker
from generation.requests.cost import Work
from generation.requests.prompt_addons import PromptAddon
from generation.workers.engine_settings import EngineSettings
from generation.workers.starting import Starting

HEADER = struct.Struct(">I")
MAX_FRAME_BYTES = 256 * 1024 * 1024
DEFAULT_ENGINE = "generation.engine.engine:Engine"


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The first message to a worker process."""

    models: tuple[Model, ...]
    settings: EngineSettings = EngineSettings()
    engine: str = DEFAULT_ENGINE
    """`module:callable` taking `(models, settings)`; tests and benchmarks name a lighter one."""
    nice: int = 5
    """Added to the process's niceness: other processes (the bot's event loop) go first."""
    failpoints: str = ""
    """For crash tests: see `generation.failpoints`."""
    parent_pid: int = 0
    """Filled in by the supervisor: a child that finds another parent was born an orphan, and leaves."""
    sign_s: float = 0.0
    """Filled in by the supervisor: how often the child says that work which takes long gets on; 0 is never."""


class TrialResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a process found that loaded a model once (as JSON)."""

    problem: str = ""
    """Why it does not load."""
    work: Work | None = None
    """What it takes; None if that is not known."""


class LoraQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a LoRA fits a model: what is asked of a process that tries it."""

    lora: PromptAddon
    folders: tuple[Path, ...]
    """Settings of the models that were added and that it may be for."""


class PreviewQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What the safety checkers score of a picture: what is asked of a process that looks at it."""

    png: bytes
    checkers: tuple[AddedChecker, ...]


class StartupFailed(msgspec.Struct, frozen=True, tag=True):
    """The engine cannot be built: a sentence for the operator."""

    message: str


Frame = list[Event | ModelsReport] | StartupFailed | Starting
"""What one frame from a worker process holds."""


class FrameError(ValueError):
    """A frame was too long: the two sides no longer understand each other."""


def encode(value: Any) -> bytes:
    """Encode a value as one frame."""
    body = msgspec.msgpack.encode(value, enc_hook=_encode_path)
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {len(body)} bytes")
    return HEADER.pack(len(body)) + body


def read_frame_length(header: bytes) -> int:
    """Return the bytes that follow a header. Raise `FrameError` for more than a frame may have."""
    (length,) = HEADER.unpack(header)
    if length > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {length} bytes")
    return int(length)


def decode_config(body: bytes) -> WorkerConfig:
    return msgspec.msgpack.decode(body, type=WorkerConfig, dec_hook=_decode_path)


def decode_lora_question(body: bytes) -> LoraQuestion:
    return msgspec.msgpack.decode(body, type=LoraQuestion, dec_hook=_decode_path)


def decode_preview_question(body: bytes) -> PreviewQuestion:
    return msgspec.msgpack.decode(body, type=PreviewQuestion, dec_hook=_decode_path)


def decode_command(body: bytes) -> Command:
    return _COMMANDS.decode(body)


def decode_events(body: bytes) -> Frame:
    return _EVENTS.decode(body)


def _encode_path(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value))


def _decode_path(kind: type, value: Any) -> Any:
    if issubclass(kind, Path):
        return Path(value)
    raise NotImplementedError(kind)


_COMMANDS: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command, dec_hook=_decode_path)
_EVENTS: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)
SIGN_OF_LIFE = encode([])
"""The frame of a worker that has nothing to report and gets on."""
