"""Measures shares: simulated hours of floods, bursts and light guilds under three policies, ours among them.

Three guilds flood (50-, 20- and 10-step pictures), one comes in bursts, ten are light: a picture now and then. See
`_sharing` for the policies; all see the same arrivals.

Keys, for ours at the top level and for the peers under `fifo` and `round_robin`:
`gap`              the largest difference of service (image-steps over weight) between two guilds over any interval
                   in which both had work
`bound`            what theory allows for ours: see `_bound`
`jain`             Jain's index over the flooding guilds' service by weight
`light_ratio`      a light guild's 95th percentile of waiting for a picture over what it takes alone, in steps
`member_ratio`     the same for a member who asks for a picture now and then in the guild that floods with the longest
`throughput`       image-steps a forward; for ours also `throughput_vs_fifo`
`forward_ratio`    T(b)/T(1): seconds of a forward of `--forward` images over those of one, measured with `--model` on
                   this machine; `light_wall_ratio` is `light_ratio` times that, what a clock on the wall would show

The same with weights 0.1, 1 and 10 under keys ending in `_weighted` (a light guild has weight 1 there, and waits for
its part: the guild of weight 10 may claim most of every forward).

With two models and two aspect ratios, where a forward serves one key and takes a quarter of its time even when nearly
empty: keys ending in `_mixed` (models stay loaded, quantum 0, as the engine has it) and `_swapping` (a change of
model takes as long as four forwards; the quantum and the charge are those of decision record 9). `quanta` has the
figures by quantum, `slots` by number of resident images. Throughput is over time there, and `light_wall_ratio` is in
time by that same measure of a forward.

With `--members 1 2 4 8` nothing but `members`: by number of workers behind the one line, and for four of which two are
slow, the same figures and those of first come, first served; `charged_gap` is of what guilds were charged, whose bound
does not depend on the number. Ends with 1 if a figure is outside its bar.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench._crowd import (
    BURST_GUILD,
    BURST_STEPS,
    CHARGES,
    FAMILIES,
    FLOOD_KEYS,
    FLOODS,
    FOUR_KEYS,
    NO_KEYS,
    ONE_KEY,
    Key,
    Mix,
    Record,
    simulate,
)
from bench._loading import measure_loads
from bench._several import Several, SeveralFifo
from bench._sharing import CountRoundRobin, Fifo, Ours, Picture, Policy

EVEN = dict.fromkeys(FLOODS, 1.0)
UNEVEN = {1: 0.1, 2: 1.0, 3: 10.0}
UNEQUAL_SPEEDS = (1, 1, 3, 6)
"""Ticks of a forward by each of four workers."""
MAX_LIGHT, MAX_LIGHT_UNEQUAL = 1.25, 1.5
"""What a light guild's 95th percentile may be over what it takes alone."""
SWAP_FORWARDS = 4.0
QUANTA = (0.0, 8.0, 32.0, 128.0)
CHOSEN_QUANTUM = 32.0
"""What a swap takes, in image-steps: four forwards of eight."""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench fairness", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--ticks", type=int, default=60_000, help="forwards to simulate (0.2 s each: 3 h 20 min)")
    parser.add_argument("--forward", type=int, default=8, help="images in one forward")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="paintbox", help="measures T(b)/T(1); “none” leaves it out")
    parser.add_argument("--members", type=int, nargs="+", metavar="N", help="only with so many workers each")
    options = parser.parse_args(argv)
    trial = Trial(options.forward, options.ticks, options.seed)
    if options.members:
        return _print_members(trial.by_members(options.members), is_quiet=options.json)
    figures = trial.one_key() | trial.many_keys() | {"families": trial.families(), "slots": trial.by_slots()}
    if options.model != "none":
        ratio = _forward_ratio(options.model, options.forward)
        figures |= {"forward_ratio": ratio, "light_wall_ratio": round(ratio * _number(figures["light_ratio"]), 3)}
    if not options.json:
        for name, value in figures.items():
            print(f"{name:28} {value}")
    print(json.dumps(figures))
    return 0


def _print_members(figures: Mapping[str, Mapping[str, float]], *, is_quiet: bool) -> int:
    """Print them; return 1 if a bar is not met."""
    if not is_quiet:
        for name, each in figures.items():
            print(f"{name:20} {dict(each)}")
    print(json.dumps({"members": figures}))
    return int(not all(_is_within(name, each) for name, each in figures.items()))


def _is_within(name: str, figures: Mapping[str, float]) -> bool:
    is_fair = figures["charged_gap"] <= figures["charged_bound"] and figures["gap"] <= figures["bound"]
    return is_fair and figures["light_ratio"] <= (MAX_LIGHT if name.isdecimal() else MAX_LIGHT_UNEQUAL)


class Trial:
    """All runs of one call: the same forward, the same length, the same members."""

    def __init__(self, forward: int, until: float, seed: int) -> None:
        self._forward, self._until, self._seed = forward, until, seed

    def one_key(self) -> dict[str, object]:
        ours = self._run(lambda: Ours(self._forward, EVEN), EVEN)
        weighted = self._run(lambda: Ours(self._forward, UNEVEN), UNEVEN)
        fifo = self._run(lambda: Fifo(self._forward), EVEN)
        return {
            **ours,
            "bound": _bound(2 * self._forward, EVEN),
            "throughput_vs_fifo": round(ours["throughput"] / fifo["throughput"], 4),
            **{f"{name}_weighted": value for name, value in weighted.items()},
            "bound_weighted": _bound(2 * self._forward, UNEVEN),
            "fifo": fifo,
            "round_robin": self._run(lambda: CountRoundRobin(self._forward), EVEN),
        }

    def many_keys(self) -> dict[str, object]:
        """Run four keys, with models that stay and with models that must be swapped."""
        figures: dict[str, object] = {}
        for name, swap, quantum in (("mixed", 0.0, 0.0), ("swapping", SWAP_FORWARDS, CHOSEN_QUANTUM)):
            for suffix, weights in (("", EVEN), ("_weighted", UNEVEN)):
                for key, value in self._keyed(weights, swap=swap, quantum=quantum).items():
                    figures[f"{key}_{name}{suffix}"] = value
        quanta = {f"{each:g}": self._keyed(EVEN, swap=SWAP_FORWARDS, quantum=each) for each in QUANTA}
        return {**figures, "quanta": quanta}

    def families(self) -> dict[str, object]:
        """Run three families at once, of unequal cost: with models that stay, with models that are swapped, by weight.

        In a unit of cost, which is one guided evaluation by Stable Diffusion. A forward takes the time of its cost.
        """
        mix: dict[str, Any] = {"mix": FAMILIES, "own": FLOOD_KEYS}
        return {
            "staying": self._keyed(EVEN, swap=0.0, quantum=0.0, **mix),
            "staying_weighted": self._keyed(UNEVEN, swap=0.0, quantum=0.0, **mix),
            "swapping": self._keyed(EVEN, swap=SWAP_FORWARDS, quantum=CHOSEN_QUANTUM, **mix),
            **measure_loads(self._forward, self._until / 4, self._seed),
        }

    def by_slots(self) -> dict[str, object]:
        """Run more images than a forward takes, with a delay of one forward between bot and worker."""
        return {
            str(slots): {
                "one_key": self._run(lambda n=slots: Ours(self._forward, EVEN, slots=n, delay=1), EVEN),  # type: ignore[misc]
                "four_keys": self._run(
                    lambda n=slots: Ours(self._forward, EVEN, slots=n, delay=1),  # type: ignore[misc]
                    EVEN,
                    mix=FOUR_KEYS,
                    swap=0.0,
                ),
            }
            for slots in (self._forward, self._forward + 2, 2 * self._forward)
        }

    def by_members(self, members: Sequence[int]) -> dict[str, dict[str, float]]:
        """Run several workers behind one line: equal ones, and four of which two are slow."""
        cases = {str(number): [1] * number for number in members} | {"4, two of them slow": UNEQUAL_SPEEDS}
        return {name: self._run_members(speeds) for name, speeds in cases.items()}

    def _run_members(self, speeds: Sequence[int]) -> dict[str, float]:
        several, fifo = Several(self._forward, EVEN, speeds), SeveralFifo(self._forward, EVEN, speeds)
        depth, slots = 40 * len(speeds), len(speeds) * (self._forward + self._forward // 4)
        ours = _figures(simulate(several, self._until, EVEN, self._seed, depth=depth))
        peer = _figures(simulate(fifo, self._until, EVEN, self._seed, depth=depth))
        return {
            "charged_gap": several.charges.gap,
            "charged_bound": 2.0 * max(FLOODS.values()),
            "gap": ours["gap"],
            "bound": _bound(slots, EVEN),
            "jain": ours["jain"],
            "light_ratio": ours["light_ratio"],
            "throughput": ours["throughput"],
            "fifo_charged_gap": fifo.charges.gap,
            "fifo_light_ratio": peer["light_ratio"],
        }

    def _keyed(
        self,
        weights: Mapping[int, float],
        *,
        swap: float,
        quantum: float,
        mix: Mix = FOUR_KEYS,
        own: Mapping[int, Key] = NO_KEYS,
    ) -> dict[str, float]:
        charge = swap * self._forward

        def ours() -> Policy:
            return Ours(self._forward, weights, quantum=quantum, swap_charge=charge)

        figures = self._run(ours, weights, mix=mix, own=own, swap=swap)
        fifo = self._run(lambda: Fifo(self._forward), weights, mix=mix, own=own, swap=swap)
        return figures | {
            "bound": _bound(2 * self._forward, weights, quantum=quantum, swap_charge=charge, mix=mix, own=own),
            **{f"fifo_{name}": fifo[name] for name in ("gap", "light_ratio", "light_wall_ratio")},
            "throughput_vs_fifo": round(figures["throughput"] / fifo["throughput"], 4),
        }

    def _run(
        self,
        build: Callable[[], Policy],
        weights: Mapping[int, float],
        *,
        mix: Mix = ONE_KEY,
        own: Mapping[int, Key] = NO_KEYS,
        swap: float | None = None,
    ) -> dict[str, float]:
        if swap is None:
            return _figures(simulate(build(), self._until, weights, self._seed, mix=mix))
        until = self._until / 4

        def duration(stepped: list[Picture], model_before: str) -> float:
            is_swap = bool(stepped) and model_before not in ("", stepped[0].key[0])
            spent = 0.25 + 0.75 * len(stepped) / self._forward
            return spent * (stepped[0].charge if stepped else 1.0) + (swap if is_swap else 0.0)

        return _figures(simulate(build(), until, weights, self._seed, mix=mix, own=own, duration=duration))


def _bound(
    slots: int,
    weights: Mapping[int, float],
    *,
    quantum: float = 0.0,
    swap_charge: float = 0.0,
    mix: Mix = ONE_KEY,
    own: Mapping[int, Key] = NO_KEYS,
) -> float:
    """Return the bound in cost over weight: 2 ((b + 1) u + Q), u the largest picture over the smallest weight.

    `generation.scheduling.fair_queue` argues 2 u for what is handed out, and 2 b u for what of it is still in flight,
    b the images of one guild the worker may hold: its slots. The order of the steps can only add what a guild may get
    ahead for staying on a model, and what a swap is charged.
    """
    dearest = max(CHARGES.get(key[0], 1.0) for key, _ in mix)

    def cost(guild_id: int, steps: int) -> float:
        charge = CHARGES.get(own[guild_id][0], 1.0) if guild_id in own else dearest
        return steps * charge / weights.get(guild_id, 1.0)

    largest = max(cost(guild_id, steps) for guild_id, steps in (*FLOODS.items(), (BURST_GUILD, BURST_STEPS)))
    return 2 * ((slots + 1) * largest + quantum + swap_charge / min(weights.values()))


def _figures(record: Record) -> dict[str, float]:
    shares = [record.service.get(guild_id, 0.0) for guild_id in FLOODS]
    jain = sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))
    figures = {
        "gap": round(record.gap, 2),
        "jain": round(jain, 5),
        "light_ratio": _p95(record.light_waits),
        "light_wall_ratio": _p95(record.light_walls),
        "member_ratio": _p95(record.member_waits),
        "throughput": round(record.steps / record.elapsed, 4),
    }
    return figures | ({"swaps_per_1000": round(1000 * record.swaps / record.forwards, 1)} if record.swaps else {})


def _p95(waits: list[float]) -> float:
    return round(sorted(waits)[int(0.95 * (len(waits) - 1))], 3) if waits else float("inf")


def _forward_ratio(model_name: str, forward: int) -> float:
    """Return T(b)/T(1), the median of a few, without the first forwards of each."""
    from bench._painting import an_order, open_model
    from generation.engine.engine import Engine
    from generation.workers.engine_settings import EngineSettings

    model = open_model(model_name)
    engine = Engine([model], EngineSettings(num_threads=1))
    times = {}
    for images in (1, forward):
        for number in range(images):
            engine.admit(an_order(model, f"{images}-{number}", steps=16))
        spans = [_timed(engine.step) for _ in range(16)]
        times[images] = sorted(spans[4:])[6]
        while not engine.is_idle:
            engine.step()
    return round(times[forward] / times[1], 3)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _number(value: object) -> float:
    assert isinstance(value, float)
    return value
