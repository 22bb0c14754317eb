"""`throughput`: many users at once, served by a stock pipeline, by stock batches of equals, and by our engine.

A closed loop: every user asks again as soon as a picture is there; steps, guidance, sampler and seed are mixed. The
three sides and the probe of what is possible take turns in every round, so that whatever else the machine does falls
on all of them; figures are medians over rounds. All sides use the same weights, number format and threads.

    python -m bench throughput [--json] [--users 16] [--requests 2] [--rounds 5] [--side 128] [--steps 8 12 20]
                               [--model paintbox] [--shape sd15|sdxl]   (random weights, for a GPU) [--profile]
                               [--family sd|sdxl|zimage|klein|qwenimage|krea2|ernie|flux|chroma|sd3]   (toys)

Keys: `images_per_s`, `mean_s`, `p95_s` of the engine; `ratio_serial`, `ratio_batched` against the two others;
`ratio_possible`, the gain for a whole picture of the best bucket over a lone picture; `share_of_possible`;
`padding`, the part of all rows that belonged to no image; `share_of_peak`, of the speed of a matrix product of the same
format, by denoising and decoding, and `share_of_peak_forwards` by denoising alone; `busy`, the part of the threads'
time in which they compute. The stock pipeline has a process of its own.
With `--profile` also `profile`: the share of the time of one more run of the engine that each part of it takes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from bench._weights import add_options, name_chosen, open_chosen
from generation.workers.early_start import build_waiting_settings

if TYPE_CHECKING:  # torch is loaded when this benchmark runs, not when the list of benchmarks is made
    from bench._sides import Outcome, StockProcess
    from generation.engine.engine import Engine
    from generation.models.catalog import Model
    from generation.requests.spec import ImageSpec

_SAMPLERS = ("Euler a", "Euler", "LCM", "DPM++ 2M Karras", "DDIM", "UniPC")
"""Those of them that the model has."""
_COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "black", "white")
_SHAPES = ("circle", "square", "triangle", "star")
_GUIDANCES = (1.0, 4.0, 7.0)


def main(argv: list[str]) -> int:
    options = _parse(argv)
    with patch.dict(os.environ, build_waiting_settings() | dict(os.environ)):  # as in a worker, not as in its peer
        import torch  # noqa: F401  it reads them when it is loaded
    with tempfile.TemporaryDirectory() as folder:
        figures = _measure(open_chosen(options, Path(folder)), options, Path(folder))
    if not options.json:
        for name, value in (figures | figures.get("profile", {})).items():
            print(f"{name:20} {value}")
    print(json.dumps(figures))
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench throughput")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--users", type=int, default=16)
    parser.add_argument("--requests", type=int, default=2, help="pictures each user asks for, one after another")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=128, help="pixels")
    parser.add_argument("--steps", type=int, nargs="+", default=[8, 12, 20], help="steps of the pictures, by chance")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--max-rows", type=int, default=0)
    parser.add_argument("--cpu-backend", default="torch", help="torch, or openvino")
    parser.add_argument("--unpacked", action="store_true", help="without packed weights of convolutions")
    parser.add_argument("--lanes", type=int, default=0, help="turns at once: 1 or 2; 0 as the engine chooses")
    add_options(parser)
    parser.add_argument("--profile", action="store_true", help="say what one run of the engine spends its time on")
    return parser.parse_args(argv)


def _measure(model: Model, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from bench._sides import StockProcess
    from generation.engine.autotune import MeasurementCache
    from generation.engine.devices import choose_device
    from generation.engine.engine import Engine
    from generation.workers.engine_settings import EngineSettings

    settings = EngineSettings(
        dtype=options.dtype,
        num_threads=options.threads,
        max_rows=options.max_rows,
        num_lanes=options.lanes,
        cpu_backend=options.cpu_backend,
        packs_weights=not options.unpacked,
        num_slots=options.users,
        measured=str(folder / "measured.json"),
    )
    engine = Engine([model], settings)
    device = choose_device(settings, (), MeasurementCache(settings.measured))
    stock = StockProcess(model, device.dtype, device.torch_device, device.num_threads)
    _round(-1, engine, stock, model, options)
    while engine.tune():  # as a worker does when it is idle: which buckets pay at this size
        pass
    rounds = [_round(number, engine, stock, model, options) for number in range(options.rounds)]
    figures: dict[str, Any] = {name: round(statistics.median(each[name] for each in rounds), 3) for name in rounds[0]}
    stock.close()
    facts = engine.fingerprint.facts
    if options.profile:
        figures["profile"] = _profile(engine, model, options)
    return figures | {
        "share_of_possible": round(figures["ratio_serial"] / figures["ratio_possible"], 3),
        "dtype": facts["dtype"],
        "device": facts.get("gpu", facts["device"]),
        "threads": facts["threads"],
        "users": options.users,
        "rounds": options.rounds,
        "row_bucket": engine.most_rows((options.side, options.side)),
        "model": name_chosen(options),
    }


def _round(
    number: int, engine: Engine, stock: StockProcess, model: Model, options: argparse.Namespace
) -> dict[str, float]:
    """Run all sides once, in an order that changes from round to round; round -1 warms up and makes the size known."""
    from bench._peak import count_work, peak_flops
    from bench._sides import serve_engine

    users = _requests(model, options, random.Random(number))
    run_before, owned_before = engine.rows_run, engine.rows_owned
    sides = {
        "serial": lambda: stock.serve(users, batched=False),
        "batched": lambda: stock.serve(users, batched=True),
        "ours": lambda: serve_engine(engine, model, users),
    }
    names = list(sides)
    random.Random(number).shuffle(names)
    outcomes: dict[str, Outcome] = {}
    used_ours_s = 0.0
    for name in names:
        used_s = time.process_time()
        outcomes[name] = sides[name]()
        if name == "ours":
            used_ours_s = time.process_time() - used_s
    rows_run, rows_owned = engine.rows_run - run_before, engine.rows_owned - owned_before
    images, ours = sum(map(len, users)), outcomes["ours"]
    work, peak = count_work(engine, model, options.side), peak_flops(engine)
    denoised, decoded = work.row * rows_owned / ours.total_s, work.decode * images / ours.total_s
    return {
        "images_per_s": images / ours.total_s,
        "ratio_serial": outcomes["serial"].total_s / ours.total_s,
        "ratio_batched": outcomes["batched"].total_s / ours.total_s,
        "ratio_possible": _possible(engine, model, options),
        "padding": 1 - rows_owned / rows_run,
        "share_of_peak": (denoised + decoded) / peak,
        "share_of_peak_forwards": denoised / peak,
        "busy": used_ours_s / ours.total_s / engine._device.num_threads,
    } | {
        f"{measure}{'' if name == 'ours' else '_' + name}": value
        for name, outcome in outcomes.items()
        for measure, value in _latency(outcome).items()
    }


def _profile(engine: Engine, model: Model, options: argparse.Namespace) -> dict[str, float]:
    from bench._profile import profile
    from bench._sides import serve_engine

    users = _requests(model, options, random.Random(0))
    return profile(engine, model, lambda: serve_engine(engine, model, users))


def _possible(engine: Engine, model: Model, options: argparse.Namespace) -> float:
    """Return the gain of the best bucket over a lone picture, for whole pictures of the middle number of steps."""
    from bench._sides import seconds_an_image

    most = engine.most_rows((options.side, options.side)) // 2
    sizes = {1, *(size for size in (2, 4, 8, 16) if size <= most)}
    seconds = {
        size: seconds_an_image(
            engine, model, together=size, side_px=options.side, steps=sorted(options.steps)[len(options.steps) // 2]
        )
        for size in sizes
    }
    return seconds[1] / min(seconds.values())


def _requests(model: Model, options: argparse.Namespace, generator: random.Random) -> list[list[ImageSpec]]:
    from bench._painting import an_order

    samplers, choose = [name for name in _SAMPLERS if name in model.samplers], generator.choice

    def one() -> ImageSpec:
        return an_order(
            model,
            "r-0",
            width_px=options.side,
            height_px=options.side,
            prompt=f"a {choose(_COLOURS)} {choose(_SHAPES)} on a {choose(_COLOURS)} background",
            steps=choose(options.steps),
            guidance=choose(_GUIDANCES),
            sampler=choose(samplers),
            seed=generator.randrange(2**32),
        ).spec

    return [[one() for _ in range(options.requests)] for _ in range(options.users)]


def _latency(outcome: Outcome) -> dict[str, float]:
    ordered = sorted(outcome.latencies_s)
    return {"mean_s": statistics.fmean(ordered), "p95_s": ordered[int(0.95 * (len(ordered) - 1))]}
