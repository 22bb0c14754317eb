"""One guild's images in line: fair between its members, as `FairQueue` is between guilds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from generation.scheduling.counter_heap import CounterHeap
from generation.scheduling.placement import ANYWHERE, Needs


@dataclass(frozen=True, slots=True)
class Waiting:
    """One image in line. `cost` is nominal, in the units of `generation.requests.cost`."""

    image_id: str
    guild_id: int
    user_id: int
    cost: int
    boost: float = 1.0
    """The member's claim relative to the other members of the guild; it takes nothing from other guilds."""
    needs: Needs = ANYWHERE
    """Which workers may take it."""
    load: int = 0
    """What it was charged for the model that was loaded for it, beside its cost."""

    @property
    def charged(self) -> int:
        return self.cost + self.load


@dataclass(slots=True)
class _Member:
    """A member's images in line, oldest first, and what the member was charged."""

    counter: float = 0.0
    line: OrderedDict[str, Waiting] = field(default_factory=OrderedDict)


@dataclass(slots=True)
class GuildLine:
    """A guild's members in line. The same algorithm as between guilds, one level down, with boosts for weights."""

    guild_id: int
    weight: float = 1.0
    counter: float = 0.0
    num_in_flight: int = 0
    num_waiting: int = 0
    level: float = 0.0
    members: dict[int, _Member] = field(default_factory=dict)
    eligible: CounterHeap = field(default_factory=CounterHeap)

    @property
    def is_active(self) -> bool:
        return bool(self.num_waiting or self.num_in_flight)

    def num_waiting_of(self, user_id: int) -> int:
        member = self.members.get(user_id)
        return len(member.line) if member else 0

    def push(self, waiting: Waiting, *, first: bool) -> None:
        member = self.members.setdefault(waiting.user_id, _Member())
        if not member.line and not first:
            member.counter = max(member.counter, self.level)
        member.line[waiting.image_id] = waiting
        member.line.move_to_end(waiting.image_id, last=not first)
        self.num_waiting += 1
        self.eligible.set(waiting.user_id, member.counter)

    def pop(self) -> Waiting:
        user_id = self.eligible.first()
        assert user_id is not None
        return self.take(next(iter(self.members[user_id].line.values())))

    def find(self, classes: Container[Needs]) -> Waiting | None:
        """Return the first image of one of these classes of work: members by counter, of a member the oldest."""
        lines = (self.members[user_id].line.values() for user_id in self.eligible.in_order())
        return next((each for line in lines for each in line if each.needs in classes), None)

    def take_first(self, classes: Container[Needs]) -> Waiting:
        """Hand out what `find` finds."""
        waiting = self.find(classes)
        assert waiting is not None
        return self.take(waiting)

    def take(self, waiting: Waiting) -> Waiting:
        """Hand out an image that waits."""
        member = self.members[waiting.user_id]
        self.level = max(self.level, member.counter)
        self.remove(waiting)
        return waiting

    def remove(self, waiting: Waiting) -> None:
        del self.members[waiting.user_id].line[waiting.image_id]
        self._left(waiting.user_id)

    def charge(self, waiting: Waiting, cost: int) -> None:
        self.counter += cost / self.weight
        member = self.members[waiting.user_id]
        member.counter += cost / waiting.boost
        if member.line:
            self.eligible.set(waiting.user_id, member.counter)

    def forget_members(self) -> None:
        self.members.clear()
        self.level = 0.0

    def forecast(self) -> Iterator[Waiting]:
        """Yield its waiting images in the order they will be picked if nothing else arrives."""
        return self.eligible.run_ahead(
            lambda user_id: iter(self.members[user_id].line.values()), lambda _, waiting: waiting.cost / waiting.boost
        )

    def _left(self, user_id: int) -> None:
        self.num_waiting -= 1
        if not self.members[user_id].line:
            self.eligible.discard(user_id)
