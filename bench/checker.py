"""`checker`: what the safety checkers of all models cost, and how many harmless pictures they keep back.

    python -m bench checker [--json] [--side 512] [--shape toy|sd15] [--write FILE]

Processor time of one picture, on one core, beside one denoising step of a model of that shape with random weights at
the same size (two rows, as with guidance), and what a check adds to the steps that run while it does. Then all 200
harmless pictures of `bench._harmless` at each strictness. `--write` leaves them in a file (`tools/nsfwjs_scores.mjs`).

Keys: `load_ms`, `checkers` (each `name`, `cpu_ms`), `cpu_ms` of all, `step_cpu_ms`, `step_ms` and
`step_beside_check_ms` (by the clock), `pictures`, `kept_back` by strictness, `highest` probability by score.
"""

from __future__ import annotations

import argparse
import json
import statistics
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench._harmless import harmless
from generation.engine.checkers.shared import load_shared
from generation.engine.checkers.verdict import look_with
from generation.safety.strictness import Strictness
from generation.safety.verdict import judge
from generation.workers.engine_settings import CheckerThresholds

_ROUNDS = 9
_ABOVE_NOTHING = CheckerThresholds(open_nsfw=0.0, hentai=0.0, porn=0.0, sexy=0.0)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench checker")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--side", type=int, default=512, help="pixels of the picture and of the step")
    parser.add_argument("--shape", choices=("toy", "sd15"), default="sd15", help="random weights for the step")
    parser.add_argument("--write", type=Path, help="leave the pictures there")
    options = parser.parse_args(argv)
    report = _measure_cost(options.side) | _measure_steps(options.shape, options.side) | _judge_harmless(options.write)
    if not options.json:
        for name, value in report.items():
            print(f"{name:22} {value}")
    print(json.dumps(report))
    return 0


def _measure_cost(side_px: int) -> dict[str, Any]:
    load_ms = 1000 * _cpu_s(lambda: load_shared(CheckerThresholds()), rounds=1)
    checkers = load_shared(CheckerThresholds())
    picture = np.random.default_rng(0).integers(0, 256, (side_px, side_px, 3), np.uint8)
    rows = [
        {"name": type(each).__name__, "cpu_ms": round(1000 * _cpu_s(lambda each=each: each.look(picture)), 1)}  # type: ignore[misc]
        for each in checkers
    ]
    total = round(sum(float(str(row["cpu_ms"])) for row in rows), 1)
    return {"load_ms": round(load_ms, 1), "side_px": side_px, "checkers": rows, "cpu_ms": total}


def _measure_steps(shape: str, side_px: int) -> dict[str, Any]:
    """Time a denoising step of one guided picture, alone and while a thread checks one picture after another."""
    import torch
    from diffusers import UNet2DConditionModel

    from bench._random_model import save_random_model

    checkers = load_shared(CheckerThresholds())
    picture = np.random.default_rng(0).integers(0, 256, (side_px, side_px, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        path = save_random_model(shape, Path(folder)) / "unet"
        unet = UNet2DConditionModel.from_pretrained(path, local_files_only=True).eval()
        latents = torch.zeros(2, unet.config.in_channels, side_px // 8, side_px // 8)
        words = torch.zeros(2, 77, unet.config.cross_attention_dim)

        def step() -> None:
            unet(latents, torch.tensor([500.0, 500.0]), encoder_hidden_states=words)

        cpu_s, alone_s = _cpu_s(step, rounds=3), _wall_s(step)
        is_over = threading.Event()
        thread = threading.Thread(target=_check_until, args=(is_over, lambda: look_with(checkers, picture)))
        thread.start()
        beside_s = _wall_s(step)
        is_over.set()
        thread.join()
    times = {"step_cpu_ms": cpu_s, "step_ms": alone_s, "step_beside_check_ms": beside_s}
    return {"shape": shape, "threads": torch.get_num_threads()} | {
        name: round(1000 * s, 1) for name, s in times.items()
    }


def _check_until(is_over: threading.Event, check: Callable[[], object]) -> None:
    while not is_over.is_set():
        check()


def _judge_harmless(target: Path | None) -> dict[str, Any]:
    checkers, raw = load_shared(CheckerThresholds()), load_shared(_ABOVE_NOTHING)
    pictures = list(harmless())
    kept = dict.fromkeys(Strictness, 0)
    highest: dict[str, float] = {}
    for _, picture in pictures:
        scores = look_with(checkers, picture)
        for strictness in Strictness:
            kept[strictness] += not judge(scores, strictness).is_safe
        for name, score in look_with(raw, picture).items():
            highest[name] = max(highest.get(name, 0.0), round(score.margin, 3))
    if target is not None:
        sizes = [(picture.shape[1], picture.shape[0], picture.tobytes()) for _, picture in pictures]
        target.write_bytes(b"".join(struct.pack("<II", width, height) + rows for width, height, rows in sizes))
    return {"pictures": len(pictures), "kept_back": {each.value: kept[each] for each in kept}, "highest": highest}


def _cpu_s(work: Callable[[], object], rounds: int = _ROUNDS) -> float:
    return _median(work, time.process_time, rounds)


def _wall_s(work: Callable[[], object]) -> float:
    return _median(work, time.perf_counter, 5)


def _median(work: Callable[[], object], clock: Callable[[], float], rounds: int) -> float:
    spent = []
    for _ in range(rounds):
        begun = clock()
        work()
        spent.append(clock() - begun)
    return statistics.median(spent)
