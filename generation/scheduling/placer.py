"""Pairs what is next in line with a worker: suspects first, each alone at one, then the fair queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.guild_line import Waiting
from generation.scheduling.members import Members, MemberState
from generation.scheduling.placement import Needs, choose, find_able
from generation.scheduling.swaps import Swaps

Placed = tuple[Waiting, MemberState]


class Placer:
    """Hands out images. What it returns has a place from then on: `MemberState.coming`."""

    def __init__(self, queue: FairQueue, members: Members) -> None:
        self._queue, self._members = queue, members
        self._swaps = Swaps()
        self._suspects: deque[Waiting] = deque()
        self._reserved: set[str] = set()
        """Members that are being emptied for a suspect."""
        queue.find_able = self._find_able

    @property
    def suspects(self) -> Sequence[str]:
        """Ids of the images that wait to be tried alone."""
        return [each.image_id for each in self._suspects]

    def add_suspect(self, waiting: Waiting) -> None:
        """Have an image tried alone, before all that is in line."""
        self._suspects.append(waiting)

    def drop_suspect(self, image_id: str) -> bool:
        """Take a suspect back; return whether it waited."""
        waiting = next((each for each in self._suspects if each.image_id == image_id), None)
        if waiting is not None:
            self._suspects.remove(waiting)
        return waiting is not None

    def next(self) -> Placed | None:
        """Return the next image that a member has room for, and that member."""
        placed = self._place_suspect() or self._place_next()
        if placed is not None:
            waiting, member = placed
            member.coming[waiting.image_id] = waiting.needs.model
        return placed

    def _place_next(self) -> Placed | None:
        """Return the next image in fair order, and the member that paints it.

        A guild without an image in the making gets a place even beyond the slots: the engine then steps it first, so
        a light guild does not wait for a heavy one's pictures to end.
        """
        offers = [
            replace(each, slots=0) if each.name in self._reserved else each for each in self._members.list_offers()
        ]
        waiting = self._queue.pick(lambda needs: choose(needs, offers)) or self._queue.pick_newcomer(
            lambda needs: choose(needs, offers, is_newcomer=True)
        )
        if waiting is None:
            return None
        name = choose(waiting.needs, offers, is_newcomer=self._queue.is_newcomer(waiting))
        member = self._get(name)
        self._charge_load(waiting, member)
        return waiting, member

    def _charge_load(self, waiting: Waiting, member: MemberState) -> None:
        """Charge for the model that the member has to load for an image, if it has to."""
        model, owner = waiting.needs.model, waiting.guild_id
        self._swaps.observe(member.name, frozenset() if member.member.is_cloud else member.in_memory)
        payer = self._swaps.find_payer(member.name, model, owner, coming=member.models_at_work)
        if payer is not None:
            self._queue.charge_load(waiting.image_id, payer=payer)

    def _place_suspect(self) -> Placed | None:
        """Return the next suspect that has a member to itself, and that member.

        For one that has none, the member that holds least is emptied: until then it takes nothing else. The others go
        on.
        """
        self._reserved.clear()
        offers = self._members.list_offers()
        for suspect in self._suspects:
            able = [each for each in find_able(suspect.needs, offers) if each.slots and each.name not in self._reserved]
            if not able:
                continue
            emptiest = min(able, key=lambda each: each.load)
            if not emptiest.load:
                self._suspects.remove(suspect)
                member = self._get(emptiest.name)
                member.suspect = suspect.image_id
                return suspect, member
            self._reserved.add(emptiest.name)
        return None

    def _get(self, name: str | None) -> MemberState:
        member = None if name is None else self._members.get(name)
        assert member is not None, "an image is picked for a member that has room"
        return member

    def _find_able(self, needs: Needs) -> list[str]:
        return [each.name for each in find_able(needs, self._members.list_offers())]
