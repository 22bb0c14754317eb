"""`graphs`: forwards and whole pictures with CUDA graphs and without, in turn in one process, their bytes compared.

Two engines of the same model, one with `ATELIER_CUDA_GRAPHS`, take turns in every round; seconds are the least of all
rounds, after one that does not count and captures. Needs an NVIDIA card.

    python -m bench graphs [--json] [--model paintbox] [--shape sd15|sdxl] [--side 512] [--rows 1 2 4 8 16]
                           [--together 8] [--steps 20] [--rounds 5] [--dtype auto]

Keys: `forwards`, a list by `rows` with `plain_ms`, `graph_ms`, `ratio` and `is_equal` (all bits of the prediction);
`images`, `differing` (of their pixels), `plain_s`, `graph_s`, `ratio` of `together` pictures; `device`, `dtype`. Ends
with status 1 if anything differed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench._forwards import prepare_forward, take_turns
from bench._weights import add_options, name_chosen, open_chosen
from generation.errors import ConfigurationError

if TYPE_CHECKING:  # torch is loaded when this benchmark runs, not when the list of benchmarks is made
    from generation.engine.engine import Engine
    from generation.models.catalog import Model

_SAMPLERS = ("Euler", "DDIM", "Euler a", "DPM++ 2M Karras")


def main(argv: list[str]) -> int:
    options = _parse(argv)
    with tempfile.TemporaryDirectory() as folder:
        model = open_chosen(options, Path(folder))
        try:
            figures = _measure(model, options)
        except ConfigurationError as error:
            print(error, file=sys.stderr)
            return 2
    if not options.json:
        for row in figures["forwards"]:
            print(
                f"{row['rows']:2} rows: {row['plain_ms']:8.2f} ms, by graph {row['graph_ms']:8.2f}: {row['ratio']:.2f}"
            )
        print(f"{options.together} pictures: {figures['plain_s']:.2f} s, by graphs {figures['graph_s']:.2f}")
    print(json.dumps(figures))
    return 1 if figures["differing"] or not all(row["is_equal"] for row in figures["forwards"]) else 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench graphs")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    add_options(parser)
    parser.add_argument("--side", type=int, default=512, help="pixels")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 2, 4, 8, 16], help="rows of the forwards")
    parser.add_argument("--together", type=int, default=8, help="pictures painted at once")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", default="auto")
    return parser.parse_args(argv)


def _measure(model: Model, options: argparse.Namespace) -> dict[str, Any]:
    from generation.engine.engine import Engine
    from generation.workers.engine_settings import EngineSettings

    settings: dict[str, Any] = {"dtype": options.dtype, "num_slots": options.together, "max_rows": max(options.rows)}
    engines = [Engine([model], EngineSettings(**settings, cuda_graphs=graphs)) for graphs in (True, False)][::-1]
    facts = engines[0].fingerprint.facts
    forwards = [_time_forwards(engines, model, rows, options) for rows in options.rows]
    seconds, pixels = take_turns([_painting(engine, model, options) for engine in engines], options.rounds)
    for engine in engines:
        engine.close()
    return {
        "forwards": forwards,
        "images": options.together,
        "differing": sum(one != other for one, other in zip(*pixels, strict=True)),
        "plain_s": round(seconds[0], 3),
        "graph_s": round(seconds[1], 3),
        "ratio": round(seconds[0] / seconds[1], 3),
        "device": facts.get("gpu", facts["device"]),
        "dtype": facts["dtype"],
        "model": name_chosen(options),
    }


def _time_forwards(engines: Sequence[Engine], model: Model, rows: int, options: argparse.Namespace) -> dict[str, Any]:
    import torch

    runs = [prepare_forward(engine, model, rows, options.side) for engine in engines]
    seconds, outputs = take_turns(runs, 3 * options.rounds)
    return {
        "rows": rows,
        "plain_ms": round(1000 * seconds[0], 3),
        "graph_ms": round(1000 * seconds[1], 3),
        "ratio": round(seconds[0] / seconds[1], 3),
        "is_equal": torch.equal(*outputs),
    }


def _painting(engine: Engine, model: Model, options: argparse.Namespace) -> Callable[[], list[bytes]]:
    """Return what paints the pictures at once and returns their pixels, in order."""
    from bench._painting import an_order, finished

    samplers = [name for name in _SAMPLERS if name in model.samplers]
    size = {"width_px": options.side, "height_px": options.side}

    def run() -> list[bytes]:
        for number in range(options.together):
            sampler = samplers[number % len(samplers)]
            engine.admit(an_order(model, f"p-{number}", seed=number, sampler=sampler, steps=options.steps, **size))
        done = {}
        while not engine.is_idle:
            done.update({each.image_id: each.pixels for each in finished(engine.step())})
        return [done[name] for name in sorted(done)]

    return run
