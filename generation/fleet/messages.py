"""What the bot, the Ray driver process and the members of a fleet say to each other, as frames (`frames.encode`).

    bot -- DriverConfig, ToMember --> driver -- attach, command, poll --> actor on each card
    bot <-- Connected, MembersSeen, FromMember -- driver <-- Attached, Polled -- actor

Orders and events travel as they are, encoded once at each end: the driver does not read them. Ray itself carries only
numbers, text and bytes, so that two versions that meet find it out before either reads a value of the other.
"""

from __future__ import annotations

from typing import NewType

import msgspec

from generation.jobs.protocol import Event, ModelsReport
from generation.workers.frames import HEADER, StartupFailed, encode

Said = Event | StartupFailed
"""What a member reports: an engine that cannot be built on its machine is an event of it too."""
Life = NewType("Life", int)
"""Counts what was lost at a member. An order for an earlier life is dropped: `WorkerLost` is on its way to the bot."""


class Version(msgspec.Struct, frozen=True):
    """Which Atelier speaks: all machines of a fleet run the same."""

    program: str
    """Its number, for people: what decides is the code."""
    code: str
    """Digest of the source of `generation`."""


class DriverConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The first message to a driver process. It has the address of Ray's head from its start."""

    epoch: int
    """Number of this bot among those that had this database; members listen to the newest only."""
    version: Version
    worker: bytes = b""
    """The `WorkerConfig` of every member, encoded. Its paths are the bot's: members look for their own."""
    wait_s: float = 5.0
    """How long a member may wait with an answer to a poll, and how late that answer may be beyond it."""
    start_s: float = 180.0
    """How long a member may take to be made and to answer for the first time."""
    look_s: float = 5.0
    """How often the driver looks which machines there are."""
    refused_s: float = 15.0
    """How long until a member that refused is asked again."""
    orphan_s: float = 60.0
    """A member that no bot polls for so long cancels what it paints."""
    leave_s: float = 86_400.0
    """After so long without a bot it gives its card back."""
    question: str = ""
    """`status`, or `drain NAME`, `undrain NAME`: answer with one `FleetReport` and exit."""


class ToMember(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A command for one member; `body` is encoded as in `frames`."""

    member: str
    life: Life
    body: bytes


class ReleaseMember(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Let go of a member: its engine ends where it is drained, and stays warm for the next bot where it is not."""

    member: str
    actor: str


class OfferModels(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Offer other models at every member: the `WorkerConfig` from now on, and the command for those that are up."""

    worker: bytes
    update: bytes


BotMessage = ToMember | ReleaseMember | OfferModels


class MemberFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a member says of itself, for people."""

    machine: str = ""
    device: str = ""
    version: Version = Version("", "")
    libraries: dict[str, str] = {}
    fingerprint: str = ""
    """Digest; empty while no engine is up."""
    painted_by: dict[str, str] = {}
    """What the fingerprint is the digest of, by name."""
    num_slots: int = 0
    models: dict[str, str] = {}
    """SHA-256 by name, as its engine has read them."""
    missing: dict[str, str] = {}
    """What the bot offers and this machine cannot paint with, and why."""
    clock_s: float = 0.0
    """Of its machine, since the epoch of Unix; in a `FleetReport`, how far it is ahead."""
    is_draining: bool = False
    trouble: str = ""


class MemberState(msgspec.Struct, frozen=True, kw_only=True):
    """What of a member changes while it works and is no event."""

    report: ModelsReport
    missing: dict[str, str] = {}
    pid: int | None = None
    """Of the engine's process, on its machine."""
    is_draining: bool = False


class Connected(msgspec.Struct, frozen=True, tag=True):
    """The driver has reached Ray's head. Said again every few seconds: a driver that is silent hangs."""


class MemberSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A card in the fleet. `actor` is new whenever its machine has joined again, `name` is the same."""

    name: str
    actor: str
    device: str = ""


class MembersSeen(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """All cards there are. Said first, and whenever that changes."""

    members: tuple[MemberSeen, ...]
    refused: dict[str, str] = {}
    """Cards that cannot be used, by name, and why."""


class FromMember(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What one member says: its events, encoded as in `frames`, and its state if that has changed."""

    member: str
    actor: str
    life: Life
    body: bytes
    state: MemberState | None = None
    shift_s: float = 0.0
    """What makes a monotonic time of the member's machine one of the bot's."""


class FleetReport(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The answer to a question."""

    members: dict[str, MemberFacts]
    unused: tuple[str, ...] = ()
    """Members without a process: no bot has them."""
    refused: dict[str, str] = {}


class DriverFailed(msgspec.Struct, frozen=True, tag=True):
    """The driver cannot go on: a sentence for the operator."""

    message: str


DriverMessage = Connected | MembersSeen | FromMember | FleetReport | DriverFailed


class Attached(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A member listens to this bot: `after` is the number of the last event that it need not have."""

    after: int
    num_losses: int
    facts: MemberFacts
    body: bytes
    """`Ready`, if an engine is up."""
    state: MemberState


class Refused(msgspec.Struct, frozen=True, tag=True):
    """A member does not work for this bot: why, in one sentence. `is_outdated`: a new process may be up to date."""

    reason: str
    is_outdated: bool = False


class Polled(msgspec.Struct, frozen=True, kw_only=True):
    """The events up to number `last`."""

    last: int
    num_losses: int
    body: bytes
    now_s: float
    """When this is answered, by the monotonic clock of the member's machine: no other's has to do with it."""
    state: MemberState | None = None


def encode_body(value: object) -> bytes:
    """Encode a value without the length of a frame."""
    return encode(value)[HEADER.size :]


decode_driver_config = msgspec.msgpack.Decoder(DriverConfig).decode
decode_bot_message = msgspec.msgpack.Decoder(BotMessage).decode
decode_driver_message = msgspec.msgpack.Decoder(DriverMessage).decode
decode_attached = msgspec.msgpack.Decoder(Attached | Refused).decode
decode_polled = msgspec.msgpack.Decoder(Polled).decode
decode_said = msgspec.msgpack.Decoder(list[Said]).decode
decode_facts = msgspec.msgpack.Decoder(MemberFacts).decode
