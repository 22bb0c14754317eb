"""Who pays when a worker has to load a model. Pure.

While a worker loads a model, no picture gets on there. So a load is charged, in turns (not in quotas: equal
requests cost the same, whatever is in memory), by what is read: `requests.cost.price_load` of the model's weights.

- The picture that makes a worker load a model pays for it as it is handed out, beside its own cost.
- If the model was there before, and the picture of a server that uses both models made it leave, then that server pays
  for its return. It is what alternates; who stays with one model would pay for others' turns else.

A worker's report says what is in its memory. Where it says nothing (at its start, at rest, or a cloud), nothing is
charged.

Bound. Let s be the largest charge of a load, and D the largest sum of charges for the return of models that one
server's pictures made leave and that are not back: of all models but one, on each worker. A load paid by the picture
that asks adds s to a charge that is made while that server's counter is the smallest. The return of a model is charged
to a server at any time, but once for each that left, and it leaves only by a load: until that server is picked again,
these charges add D at most. So every waiting server's counter lies between the level L and L + u + (s + D) / w, u the
largest cost of an image over weight and w the smallest weight, and what two waiting servers are charged differs, over
any interval, by

    | charged(f) / weight(f) - charged(g) / weight(g) |  <=  2 (u + (s + D) / w)
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

_REMEMBERED = 16
"""The latest pictures of a server that say which models it uses."""


@dataclass(slots=True)
class _Memory:
    """What one worker has loaded, for whom it last loaded something, and whose load made which models leave."""

    loaded: frozenset[str] = frozenset()
    loader: int | None = None
    left_for: dict[str, int] = field(default_factory=dict)


class Swaps:
    """See the module's text."""

    def __init__(self) -> None:
        self._members: dict[str, _Memory] = {}
        self._used: dict[int, deque[str]] = {}

    def observe(self, member: str, loaded: frozenset[str]) -> None:
        """Note what a worker has in memory; nothing if it does not say."""
        if not loaded:
            self._members.pop(member, None)
            return
        memory = self._members.setdefault(member, _Memory())
        for name in loaded:
            memory.left_for.pop(name, None)
        if memory.loader is not None:
            memory.left_for |= dict.fromkeys(memory.loaded - loaded, memory.loader)
        memory.loaded = loaded

    def find_payer(self, member: str, model: str, guild_id: int, *, coming: frozenset[str] = frozenset()) -> int | None:
        """Return the guild that pays for loading the model of a picture of `guild_id`; None if nothing is loaded.

        `coming`: models of pictures that the worker holds or is sent, which are loaded by then.
        """
        used = self._used.setdefault(guild_id, deque(maxlen=_REMEMBERED))
        used.append(model)
        memory = self._members.get(member)
        if memory is None or model in memory.loaded or model in coming:
            return None
        memory.loader = guild_id
        left_for = memory.left_for.pop(model, guild_id)
        return left_for if model in self._used.get(left_for, ()) else guild_id
