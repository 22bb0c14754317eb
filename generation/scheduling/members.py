"""What the dispatcher knows of each member of the pool: what it holds, how fast it is, how often it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from generation.requests.spec import GenerationRequest
from generation.scheduling.memory_limits import require_memory
from generation.scheduling.placement import Offer
from generation.scheduling.throughput import Throughput
from generation.scheduling.worker_pool import Member, WorkerPool

RETURNS_WITHIN_S = 120.0
"""A member that is down for longer is no longer waited for: its images may be painted by any other."""


@dataclass(slots=True)
class MemberState:
    """One member, as the bot sees it."""

    member: Member
    down_since_s: float
    pace: Throughput = field(default_factory=Throughput)
    held: dict[str, int] = field(default_factory=dict)
    """The attempt of each image at its worker."""
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Commands go one after the other; a worker that takes none keeps back no other's."""
    coming: dict[str, str] = field(default_factory=dict)
    """The model of each image that has its place and is on its way there."""
    models: dict[str, str] = field(default_factory=dict)
    """The model of each image at its worker."""
    suspect: str | None = None
    """The image that is tried there alone."""
    num_losses: int = 0
    is_shaky: bool = False
    trouble: str | None = None
    """Why it is down, while it is."""
    fingerprint: str = ""
    """Digest, as of its last start."""

    @property
    def name(self) -> str:
        return self.member.name

    @property
    def num_slots(self) -> int:
        return self.member.worker.num_slots

    @property
    def load(self) -> int:
        """Images that it holds or that are on their way there."""
        return len(self.held) + len(self.coming)

    @property
    def in_memory(self) -> frozenset[str]:
        """Models in its memory, as it says."""
        return frozenset(each.name for each in self.member.worker.loaded_models)

    @property
    def models_at_work(self) -> frozenset[str]:
        """Models of images that it holds or that are on their way there."""
        return frozenset((*self.models.values(), *self.coming.values()))

    def build_offer(self, *, reference_units: float) -> Offer:
        """Return what placement sees of it. `reference_units`: the forward that all members are compared by."""
        worker = self.member.worker
        return Offer(
            name=self.name,
            slots=0 if self.suspect is not None else self.num_slots,
            load=self.load,
            models=frozenset(worker.model_sha256),
            loaded=self.in_memory | self.models_at_work,
            fingerprint=self.fingerprint,
            largest_px=worker.largest_px,
            forward_s=self.pace.estimate_forward_s([reference_units]),
            is_shaky=self.is_shaky,
            is_cloud=self.member.is_cloud,
        )


class Members:
    """The state of every member, and where each image is."""

    def __init__(self, pool: WorkerPool, *, clock: Callable[[], float]) -> None:
        self._pool, self._clock = pool, clock
        self._states: dict[str, MemberState] = {}
        self._holders: dict[str, MemberState] = {}
        self._past_interruptions = 0

    def __iter__(self) -> Iterator[MemberState]:
        """Iterate over the members that are in. One that is back under the name of one whose end was not heard of yet
        has to wait for that."""
        for member in self._pool.members:
            state = self.get(member.name)
            if state is not None and state.member is member:
                yield state

    def get(self, name: str) -> MemberState | None:
        """Return the state of a member; None if it is gone, and its last event was heard."""
        member = next((each for each in self._pool.members if each.name == name), None)
        if name not in self._states and member is not None:
            self._states[name] = MemberState(member, self._clock())
        return self._states.get(name)

    def is_draining(self, state: MemberState) -> bool:
        return self._pool.is_draining(state.name)

    @property
    def num_slots(self) -> int:
        return self._pool.num_slots

    @property
    def held(self) -> dict[str, MemberState]:
        """The member that holds each image."""
        return self._holders

    def take(self, state: MemberState, image_id: str, attempt: int, model: str) -> None:
        """Note that an image is at a member's worker now."""
        state.coming.pop(image_id, None)
        state.held[image_id], state.models[image_id] = attempt, model
        self._holders[image_id] = state
        state.pace.resumed(now_s=self._clock())

    def release(self, image_id: str) -> MemberState:
        """Note that an image left its member. Raise `KeyError` if none holds it."""
        state = self._holders.pop(image_id)
        del state.held[image_id], state.models[image_id]
        self.clear_suspect(image_id)
        if not state.held:
            state.pace.paused()
        return state

    def clear_suspect(self, image_id: str) -> None:
        """Let the member go on where that image was to be alone."""
        for state in self._states.values():
            if state.suspect == image_id:
                state.suspect = None

    def empty(self, state: MemberState) -> dict[str, int]:
        """Take everything from a member that was lost; return the attempts by image."""
        held = dict(state.held)
        for image_id in held:
            self.release(image_id)
        state.suspect = None
        state.pace.paused()
        return held

    def note_ready(self, state: MemberState) -> None:
        state.trouble = None
        fingerprint = state.member.worker.fingerprint
        state.fingerprint = fingerprint.digest if fingerprint is not None else ""

    def note_lost(self, state: MemberState, reason: str) -> None:
        state.trouble, state.down_since_s = reason, self._clock()
        state.num_losses += 1
        state.is_shaky = True

    def remove(self, state: MemberState) -> None:
        """Forget a member whose last event was heard."""
        self._past_interruptions += state.pace.num_interruptions + 1
        self._states.pop(state.name, None)

    @property
    def num_interruptions(self) -> int:
        """How often painting stopped anywhere for a reason that has nothing to do with how fast it is."""
        return self._past_interruptions + sum(each.pace.num_interruptions for each in self._states.values())

    @property
    def units_per_s(self) -> float | None:
        """Cost units that all members paint a second; None before anything was measured."""
        measured = [rate for each in self if (rate := each.pace.units_per_s) is not None]
        return sum(measured) if measured else None

    def list_offers(self) -> list[Offer]:
        """Return what the members offer that may be given work, and those that are expected back."""
        states = [each for each in self if not self.is_draining(each) and self._is_expected(each)]
        reference = max((each.pace.mean_units for each in states), default=1.0)
        return [each.build_offer(reference_units=reference) for each in states]

    def require_memory(self, request: GenerationRequest) -> None:
        """Raise `InvalidRequestError` if no member has the memory for it."""
        require_memory(request, self.list_offers())

    def _is_expected(self, state: MemberState) -> bool:
        return state.num_slots > 0 or self._clock() - state.down_since_s < RETURNS_WITHIN_S
