"""`memory`: how much memory a model takes at its peak, by memory mode, for one picture and for several at once.

Every row is a process of its own, so that none inherits what another left behind. On a graphics card the peak is of its
memory (`torch.cuda.max_memory_allocated`); on a processor of the whole process.

    python -m bench memory [--json] [--model paintbox] [--shape sd15|sdxl] [--side 512] [--together 1 4] [--dtype auto]

Keys: `rows`, each with `mode`, `together`, `peak_mb`, `seconds`; `device`, `dtype`, `weights_mb`, `side_px`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench._weights import add_options, name_chosen, open_chosen

_MB = 2**20
_STEPS = 2


def main(argv: list[str]) -> int:
    options = _parse(argv)
    if options.mode:
        print(json.dumps(_paint(options)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        report = _all(options, Path(folder))
    if not options.json:
        print(f"{report['device']}, {report['dtype']}, {report['weights_mb']} MB of weights, {report['side_px']} px")
        for row in report["rows"]:
            print(f"{row['mode']:8} {row['together']:2} at once  {row['peak_mb']:7} MB  {row['seconds']:7.2f} s")
    print(json.dumps(report))
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench memory")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    add_options(parser)
    parser.add_argument("--side", type=int, default=0, help="pixels; 0 is twice the model's native side")
    parser.add_argument("--together", type=int, nargs="+", default=[1, 4], help="pictures in one forward")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--mode", help="measure one mode in this process (what the rows are made of)")
    return parser.parse_args(argv)


def _all(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from generation.engine.memory import MODES

    given = options.model if name_chosen(options) == options.model else str(open_chosen(options, folder).path)
    rows = [_one(options, given, mode, together) for mode in MODES for together in options.together]
    shared = {name: rows[0][name] for name in ("device", "dtype", "weights_mb", "side_px")}
    return {"rows": [{name: row[name] for name in row if name not in shared} for row in rows]} | shared


def _one(options: argparse.Namespace, model: str, mode: str, together: int) -> dict[str, Any]:
    words = ["--mode", mode, "--together", str(together), "--model", model, "--dtype", options.dtype]
    command = [sys.executable, "-m", "bench", "memory", *words, "--side", str(options.side)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def _paint(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    from bench._painting import an_order, finished, open_model
    from generation.engine.engine import Engine
    from generation.engine.memory import loaded_bytes
    from generation.workers.engine_settings import EngineSettings

    model, (together,) = open_model(options.model), options.together
    side_px = options.side or 2 * model.defaults.native_px
    settings = EngineSettings(dtype=options.dtype, memory=options.mode, num_slots=together, max_rows=2 * together)
    engine = Engine([model], settings)
    facts = engine.fingerprint.facts
    for index in range(together):
        engine.admit(an_order(model, f"m-{index}", width_px=side_px, height_px=side_px, steps=_STEPS, seed=index))
    started = time.perf_counter()
    while not engine.is_idle:
        finished(engine.step())
    seconds = time.perf_counter() - started
    peak = torch.cuda.max_memory_allocated() if facts["device"] == "cuda" else peak_of_process()
    return {
        "mode": facts["memory"],
        "together": together,
        "peak_mb": round(peak / _MB),
        "seconds": round(seconds, 2),
        "device": facts.get("gpu", facts["device"]),
        "dtype": facts["dtype"],
        "weights_mb": round(loaded_bytes(model, getattr(torch, facts["dtype"].removeprefix("torch.")).itemsize) / _MB),
        "side_px": side_px,
    }


def peak_of_process() -> int:
    """Return the peak memory of this process in bytes."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
