"""`cache`: what the step cache gains, and how far its pictures are from those without it.

Paints the same seeds with a step cache of 2, 3 and so on and without it, alone, in interleaved rounds, and prints for
each the processor time of a picture over that without a cache and the distance (PSNR in dB, mean and worst; higher is
nearer). Beside it stands the distance of another seed, and of two steps fewer: what a change that people see measures.

Distance is not quality. So the built-in model paints scenes of one thing that its training never showed, a scene for
each seed, and the judge of `training/paintbox` reads the thing, its colour and its background in each picture.

    python -m bench cache [--json] [--seeds 8] [--steps 20] [--every 2 3 5] [--side 128] [--model paintbox]
                          [--shape sd15|sdxl] [--family NAME]   (random weights: their distance says little)
                          [--blocks 24]   (in each list of blocks of a toy with a transformer: published ones have more)

Keys: `steps`, `seconds` (processor time of a picture without a cache); by cache in `caches`: `gain`, `psnr_mean`,
`psnr_least`; `psnr_other_seed`, `psnr_fewer_steps`; with the built-in model `right`, the shares of what the judge finds
right in each cache, `plain`, and `fewer_steps`; `device`, `dtype`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import UNSET
from PIL import Image

from bench._weights import add_options, open_chosen
from generation.models.catalog import PAINTBOX
from training.paintbox import captions

if TYPE_CHECKING:  # torch is loaded when this benchmark runs, not when the list of benchmarks is made
    from generation.engine.engine import Engine
    from generation.models.catalog import Model
    from training.paintbox.world import Scene


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench cache", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print the result only (it is JSON either way)")
    parser.add_argument("--seeds", type=int, default=8, help="at least 2")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--every", type=int, nargs="+", default=[2, 3, 5])
    parser.add_argument("--side", type=int, default=128, help="pixels")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--blocks", type=int, help="of a toy's transformer, in each of its lists")
    add_options(parser)
    options = parser.parse_args(argv)
    if options.seeds < 2:
        parser.error("--seeds: take 2 or more, for the distance of another seed")
    with tempfile.TemporaryDirectory() as folder:
        model = open_chosen(options, Path(folder))
        if options.blocks:
            if not (options.family and model.info.is_flow):
                parser.error("--blocks wants --family with a transformer: other models have the blocks they have.")
            _deepen(model.path / "transformer", options.blocks)
        print(json.dumps(_measure(model, options)))
    return 0


def _deepen(part: Path, blocks: int) -> None:
    """Write a transformer of so many blocks a list, of random weights, in the place of one."""
    import diffusers

    settings = json.loads((part / "config.json").read_text())
    counts = {name: blocks for name in ("num_layers", "num_single_layers", "n_layers") if name in settings}
    getattr(diffusers, settings["_class_name"]).from_config(settings | counts).save_pretrained(part)


def _measure(model: Model, options: argparse.Namespace) -> dict[str, Any]:
    from generation.engine.engine import Engine
    from generation.images.replay import psnr_db
    from generation.workers.engine_settings import EngineSettings
    from training.paintbox.scoring import single_scenes

    engine = Engine([model], EngineSettings(dtype=options.dtype, num_threads=options.threads))
    caches, pictures, seconds = (UNSET, *options.every), dict[Any, list[bytes]](), dict[Any, list[float]]()
    scenes = single_scenes(options.seeds, seed=1)
    prompts = [captions.plainly(scene) for scene in scenes]
    _paint(engine, model, options, seed=0)  # the first one loads what is loaded late
    for seed, prompt in enumerate(prompts):
        for cache in caches:
            pixels, taken = _paint(engine, model, options, seed=seed, prompt=prompt, cache=cache)
            pictures.setdefault(cache, []).append(pixels)
            seconds.setdefault(cache, []).append(taken)
    steps = options.steps - 2
    fewer = [_paint(engine, model, options, seed=n, prompt=each, steps=steps)[0] for n, each in enumerate(prompts)]
    plain = pictures[UNSET]
    found: dict[str, Any] = {"steps": options.steps, "seconds": round(min(seconds[UNSET]), 3), "caches": {}}
    for cache in options.every:
        apart = [psnr_db(*pair) for pair in zip(plain, pictures[cache], strict=True)]
        gain = statistics.median(a / b for a, b in zip(seconds[UNSET], seconds[cache], strict=True))
        found["caches"][cache] = {
            "gain": round(gain, 2),
            "psnr_mean": round(statistics.mean(apart), 1),
            "psnr_least": round(min(apart), 1),
        }
    shifted = zip(plain, (*plain[1:], plain[0]), strict=True)
    found["psnr_other_seed"] = round(statistics.mean(psnr_db(*pair) for pair in shifted), 1)
    found["psnr_fewer_steps"] = round(statistics.mean(psnr_db(*pair) for pair in zip(plain, fewer, strict=True)), 1)
    if model.name == PAINTBOX:
        judged = {"plain": plain, "fewer_steps": fewer} | {str(every): pictures[every] for every in options.every}
        found["right"] = {name: _judge(scenes, painted, options.side) for name, painted in judged.items()}
    facts = engine.fingerprint.facts
    engine.close()
    return found | {"device": facts["device"], "dtype": facts["dtype"]}


def _judge(scenes: Sequence[Scene], pictures: Sequence[bytes], side: int) -> dict[str, float]:
    """Return the share of right colours, backgrounds and things."""
    from training.paintbox.scoring import score_pictures

    seen = [Image.frombytes("RGB", (side, side), pixels) for pixels in pictures]
    return {name: round(score.share, 3) for name, score in score_pictures(scenes, seen).items()}


def _paint(engine: Engine, model: Model, options: argparse.Namespace, **spec: Any) -> tuple[bytes, float]:
    """Return the pixels of a picture, and the processor time it took."""
    from bench._painting import an_order, run_alone

    sampler = "Euler" if model.info.is_flow else "DPM++ 2M Karras"
    size = {"width_px": options.side, "height_px": options.side, "steps": options.steps, "sampler": sampler}
    order, began = an_order(model, f"a-{spec}", **size | spec), time.process_time()
    return run_alone(engine, order).pixels, time.process_time() - began


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
