"""Measures the same work by several programs side by side: what people would use instead, and Atelier.

    python -m bench side_by_side [--json] [--rounds 3] [--crowd 8] [--servers 4] [--flood 8] [--steps 8] [--side 128]
                                 [--dtype float32] [--programs script batched fifo genai atelier atelier-openvino]
                                 [--quick]   (as small as it can be: that it runs, not a figure)

Two pieces of work, with Paintbox. The crowd: members of several servers ask for a picture each, all at once. The flood:
one server asks for many, and after it one member of another server asks for one. The programs are started one after
another, warmed up, and take turns in every round, in an order that changes; figures are medians over rounds. All have
the same weights, sampler (DDIM), number format, and the threads that they take by themselves. The two bots and Atelier
answer over a local Discord; Atelier also checks pictures, signs them, and keeps them in its database.

Keys: `programs` by name: `pictures_per_s`, `first_s` the first picture, `p95_s` the wait of the crowd; `lone_s` the
wait of the member of the quiet server; `cpu_s` processor time of the program a picture, without Discord's;
`ack_p95_ms` of the bots; and `versions`. `ratios` by Atelier's program and the peer: how many times better Atelier is
in each figure; below 1 the peer is better. `missing`: what is not installed, and how to install it. `load`: the
machine's, least and greatest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from bench._side_programs import PROGRAMS, Program, Running
from bench._side_work import Plan, compare, merge, summarize
from bench.startup import count_cpu_s

_OURS = "atelier"
_QUICK = Plan(crowd=2, servers=2, flood=2, steps=(2,), side_px=64)
_COLUMNS = {
    "pictures_per_s": "pictures/s",
    "first_s": "first, s",
    "p95_s": "p95 wait, s",
    "lone_s": "lone wait, s",
    "cpu_s": "CPU s/picture",
    "ack_p95_ms": "ack p95, ms",
}


def main(argv: list[str]) -> int:
    options = _parse(argv)
    plan = Plan(options.crowd, options.servers, options.flood, tuple(options.steps), options.side, dtype=options.dtype)
    rounds = options.rounds
    if options.quick:
        plan, rounds = _QUICK, 1
    chosen = {name: PROGRAMS[name] for name in options.programs}
    figures = asyncio.run(measure(chosen, plan, rounds))
    if not options.json:
        print("\n".join(format_table(figures)))
    print(json.dumps(figures))
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench side_by_side", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--quick", action="store_true", help="two small pictures each: only that it runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--crowd", type=int, default=8, help="members who ask at once")
    parser.add_argument("--servers", type=int, default=4, help="servers that they are of: 2 at least")
    parser.add_argument("--flood", type=int, default=8, help="pictures that one server asks for before the lone member")
    parser.add_argument("--steps", type=int, nargs="+", default=[8], help="steps of the pictures, in turn")
    parser.add_argument("--side", type=int, default=128, help="pixels")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of all programs")
    parser.add_argument("--programs", nargs="+", choices=list(PROGRAMS), default=list(PROGRAMS))
    options = parser.parse_args(argv)
    if options.servers < 2 or min(options.crowd, options.flood, options.rounds) < 1:
        parser.error("--servers must be 2 at least, and --crowd, --flood and --rounds 1 at least.")
    return options


async def measure(programs: Mapping[str, Program], plan: Plan, num_rounds: int) -> dict[str, Any]:
    """Return the figures of those of the programs that are installed."""
    missing = {name: program.missing for name, program in programs.items() if program.missing}
    present = {name: program for name, program in programs.items() if name not in missing}
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in present}
    loads = []
    async with AsyncExitStack() as stack:
        running = {}
        for name, program in present.items():
            running[name] = await stack.enter_async_context(program.start(plan))
            await running[name].serve(plan.make_crowd()[:2])
        for number in range(num_rounds):
            for name in random.Random(number).sample(list(present), len(present)):
                rounds[name].append(await _run(running[name], plan))
                loads.append(os.getloadavg()[0])
    found = {name: merge(each) for name, each in rounds.items()}
    return {
        "programs": {name: each | {"versions": present[name].versions} for name, each in found.items()},
        "ratios": _compare_all(found),
        "missing": missing,
        "load": [round(min(loads, default=0.0), 1), round(max(loads, default=0.0), 1)],
        "work": {
            "crowd": plan.crowd,
            "servers": plan.servers,
            "flood": plan.flood,
            "steps": plan.steps,
            "side_px": plan.side_px,
            "dtype": plan.dtype,
            "rounds": num_rounds,
        },
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


async def _run(program: Running, plan: Plan) -> dict[str, float]:
    before_s = sum(count_cpu_s(program.pid))
    crowd = await program.serve(plan.make_crowd())
    flood = await program.serve(plan.make_flood())
    return summarize(crowd, flood, sum(count_cpu_s(program.pid)) - before_s)


def _compare_all(found: Mapping[str, dict[str, float]]) -> dict[str, dict[str, dict[str, float]]]:
    ours = [name for name in found if name.startswith(_OURS)]
    peers = [name for name in found if name not in ours]
    return {mine: {peer: compare(found[mine], found[peer]) for peer in peers} for mine in ours}


def format_table(figures: Mapping[str, Any]) -> list[str]:
    """Return the lines that a person reads."""
    work, load = figures["work"], figures["load"]
    lines = [
        f"{work['crowd']} members of {work['servers']} servers ask at once; {work['flood']} of one server and a lone"
        f" member. {work['side_px']} px, {' or '.join(map(str, work['steps']))} steps, {work['dtype']};"
        f" rounds: {work['rounds']}",
        f"{figures['machine']}, load {load[0]} to {load[1]}",
        "",
        _format_row("", _COLUMNS.values()),
    ]
    for name, program in PROGRAMS.items():
        if name in figures["programs"]:
            lines.append(_format_row(program.title, _pick(figures["programs"][name])))
        elif name in figures["missing"]:
            lines.append(f"{program.title:36}{figures['missing'][name]}")
    for mine, peers in figures["ratios"].items():
        lines += ["", f"{PROGRAMS[mine].title}: how many times better; below 1 the other is better"]
        lines += [_format_row(PROGRAMS[peer].title, _pick(ratios)) for peer, ratios in peers.items()]
    named = {item for found in figures["programs"].values() for item in found["versions"].items()}
    return [*lines, "", ", ".join(f"{package} {number}" for package, number in sorted(named))]


def _pick(found: Mapping[str, float]) -> Sequence[str]:
    return [f"{found[name]:.2f}" if name in found else "-" for name in _COLUMNS]


def _format_row(title: str, cells: Any) -> str:
    return f"{title:36}" + "".join(f"{cell:>15}" for cell in cells)
