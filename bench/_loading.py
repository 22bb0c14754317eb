"""Ours on a card that has memory for two of three models: who asks for one that has left has it loaded first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bench._crowd import CHARGES, FAMILIES, FLOOD_KEYS, FLOODS, Key, simulate
from bench._several import Charges
from bench._sharing import Ours, Picture
from generation.scheduling.guild_line import Waiting
from generation.scheduling.swaps import Swaps

LOADS = {"sd": 20, "sdxl": 65, "zimage": 190}
"""What loading each is charged, and takes, in guided evaluations by Stable Diffusion: ten for each GiB of weights."""
CASES: Mapping[str, Mapping[int, Key]] = {
    "loading": FLOOD_KEYS,
    "loading_one_alternates": dict.fromkeys((2, 3), FLOOD_KEYS[2]),
}
"""The guilds that stay with a key: each flood with a family of its own; two with one, while the first asks for any."""
_CARD = "card"


class Loading(Ours):
    """`charges`: the difference of what guilds were charged, loads too; `paid`: the loads by guild."""

    def __init__(self, forward: int, weights: Mapping[int, float], *, room: int = 2) -> None:
        super().__init__(forward, weights)
        self._queue.price_load_of = LOADS.__getitem__
        self._swaps, self._memory, self._room = Swaps(), list(LOADS)[:room], room
        self._to_load = 0
        self.paid, self.charges = Counter[int](), Charges(weights)

    def take_loading(self) -> int:
        """Return what was loaded since the last call."""
        loading, self._to_load = self._to_load, 0
        return loading

    def _next(self) -> Waiting | None:
        waiting = super()._next()
        if waiting is not None:
            self._hand_out(waiting, self._waiting[waiting.image_id])
        return waiting

    def _hand_out(self, waiting: Waiting, picture: Picture) -> None:
        """Charge a picture, and the model that is loaded for it; the one unused for longest leaves."""
        others = {each.guild_id for each in self._waiting.values() if each is not picture}
        self.charges.note(picture.guild_id, picture.cost, others)
        model = picture.key[0]
        self._swaps.observe(_CARD, frozenset(self._memory))
        payer = self._swaps.find_payer(_CARD, model, picture.guild_id)
        if payer is not None:
            self._queue.charge_load(waiting.image_id, payer=payer)
            self.charges.note(payer, LOADS[model], others)
            self.paid[payer] += LOADS[model]
            self._to_load += LOADS[model]
        self._memory = [*(each for each in self._memory if each != model), model][-self._room :]


def measure_loads(forward: int, until: float, seed: int) -> dict[str, dict[str, object]]:
    """Return the figures of each of `CASES`."""
    return {name: _measure(forward, until, seed, own) for name, own in CASES.items()}


def _measure(forward: int, until: float, seed: int, own: Mapping[int, Key]) -> dict[str, object]:
    """Run three families with memory for two. Guilds in `own` stay with their key, all others ask for any.

    `charged_gap` is of what guilds were charged, loads too; `loads_paid` are the loads by guild.
    """
    weights = dict.fromkeys(FLOODS, 1.0)
    policy = Loading(forward, weights)

    def duration(stepped: list[Picture], model_before: str) -> float:
        spent = (0.25 + 0.75 * len(stepped) / forward) * (stepped[0].charge if stepped else 1.0)
        return spent + policy.take_loading() / forward

    simulate(policy, until, weights, seed, mix=FAMILIES, own=own, duration=duration)
    largest, loads = max(FLOODS.values()) * max(CHARGES.values()), LOADS.values()
    return {
        "charged_gap": round(policy.charges.gap, 1),
        "charged_bound": round(2 * (largest + max(loads) + sum(loads) - min(loads)), 1),
        "loads_paid": {str(guild_id): policy.paid[guild_id] for guild_id in sorted(policy.paid)},
    }
