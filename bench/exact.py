"""`exact`: checks that every picture from a mixed batch is the same, byte for byte, when replayed alone from its trace.

Each interleaving admits five to nine images at random moments, in random rows: of every sampler of the model, with
random seeds, steps, guidance, prompts and negative prompts of several lengths, weights, previews, start pictures,
masks, outpaint, variations and hires fix. Then each is replayed. The control paints the same images alone *without*
their trace, as any batching without fixed buckets in the recipe must: it has to differ.

With `--control`, two of three images follow one to three pictures, by ControlNets, T2I-Adapters and XL's Union. With
`--ip-adapter`, two of three also look at a reference, by a standard IP-Adapter or a plus one, at several strengths.

    python -m bench exact [--json] [--interleavings 200] [--dtype float32 bfloat16] [--side 64] [--model paintbox]
                          [--family sd|sdxl|zimage|klein|qwenimage|qwenedit|qweneditplus|krea2|ernie|flux|kontext
                                    |chroma|sd3]   (toys)
                          [--loras]   (most images have one or two of two random LoRA; of a model folder)
                          [--control] [--ip-adapter]   (with --family sd or sdxl)
                          [--references]   (with a family that edits by instruction)
                          [--regions]   (two of three prompts have one to three regions)
                          [--cache]   (three of four images have a step cache)

With `--references`, half of the images edit one to as many pictures as the family takes. A second control paints them
with an engine whose key forgets what they see: it has to differ, or its inputs do not fit.

With `--fleet`, one worker of this machine and two actors of a Ray cluster on its loopback paint mixed batches, and each
picture is replayed on every other member of its painter's fingerprint. Two controls have to differ: the same pictures
without their traces, and with them on a worker of the other number format. Keys: `images` by member, `fingerprints`,
`replays`, `differing`, `without_trace` and `other_format` (`images`, `differing`).

    python -m bench exact --fleet [--json] [--interleavings 200] [--dtype float32] [--side 64]

Keys without it: `images`, `following` (by ControlNets), `editing`, `looking` (by IP-Adapters), `regional`,
`differing`, `control_images`, `control_differing`, `dtype`; the same by number format in `by_dtype`. With
`--references` also `forgetful_images`, `forgetful_differing` and `forgetful_broken`.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench._interleaving import draw, is_exact, paint_interleaved
from bench._weights import add_options, name_chosen, open_chosen
from generation.models.families import FAMILIES

if TYPE_CHECKING:  # torch is loaded when this benchmark runs, not when the list of benchmarks is made
    from generation.engine.engine import Engine
    from generation.jobs.protocol import Finished, GenerateCommand
    from generation.models.catalog import Model


CONTROLS = 20
"""Interleavings whose images are painted a third time, as the control."""


def main(argv: list[str]) -> int:
    options = _parse(argv)
    if options.fleet:
        return _measure_members(options)
    with tempfile.TemporaryDirectory() as folder:
        model = _open(options, Path(folder))
        by_dtype = [_measure(model, dtype, options) for dtype in options.dtype]
    counts = [name for name in by_dtype[0] if name not in ("dtype", "device", "seconds")]
    result = {name: sum(each[name] for each in by_dtype) for name in counts} | {
        "dtype": ", ".join(each["dtype"] for each in by_dtype),
        "device": by_dtype[0]["device"],
        "interleavings": options.interleavings,
        "model": name_chosen(options),
        "seconds": round(sum(each["seconds"] for each in by_dtype), 1),
        "by_dtype": {each["dtype"]: {name: each[name] for name in counts} for each in by_dtype},
    }
    print(json.dumps(result))
    return 0 if result["differing"] == 0 else 1


def _measure_members(options: argparse.Namespace) -> int:
    from bench._exact_members import measure

    result = measure(options)
    print(json.dumps(result))
    controls = (result["without_trace"]["differing"], result["other_format"]["differing"])
    return 0 if result["replays"] and not result["differing"] and all(controls) else 1


def _measure(model: Model, dtype: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run all interleavings in one number format."""
    from generation.engine.engine import Engine
    from generation.workers.engine_settings import EngineSettings

    settings = EngineSettings(
        dtype=dtype, num_threads=options.threads, cpu_backend=options.cpu_backend, packs_weights=not options.unpacked
    )
    engine, started = Engine([model], settings), time.perf_counter()
    images = following = editing = looking = regional = differing = control_images = control_differing = 0
    for number in range(options.interleavings):
        generator = random.Random(number)
        pairs = _interleave(engine, model, generator, options)
        images += len(pairs)
        following += sum(bool(order.spec.controls) for order, _ in pairs)
        editing += sum(bool(order.spec.references) for order, _ in pairs)
        looking += sum(bool(order.spec.image_prompt) for order, _ in pairs)
        regional += sum(bool(order.spec.areas) for order, _ in pairs)
        differing += sum(not is_exact(engine, order, crowded) for order, crowded in pairs)
        control = pairs if number < CONTROLS else []
        control_images += len(control)
        control_differing += sum(not _is_alike(engine, order, crowded) for order, crowded in control)
    forgetful = _measure_forgetful(engine, model, settings, options) if options.references else {}
    engine.close()
    return {
        "images": images,
        "following": following,
        "editing": editing,
        "looking": looking,
        "regional": regional,
        "differing": differing,
        "control_images": control_images,
        "control_differing": control_differing,
        **forgetful,
        "dtype": engine.fingerprint.facts["dtype"],
        "device": engine.fingerprint.facts["device"],
        "seconds": time.perf_counter() - started,
    }


def _measure_forgetful(*around: Any) -> dict[str, int]:
    from bench._forgetful import measure_forgetful

    return measure_forgetful(*around)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench exact")
    parser.add_argument("--json", action="store_true", help="print the result only (it is JSON either way)")
    parser.add_argument("--interleavings", type=int, default=200)
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"], help="number formats, one after another")
    parser.add_argument("--side", type=int, default=64, help="pixels")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--loras", action="store_true", help="give most images LoRA of random numbers")
    parser.add_argument("--control", action="store_true", help="pictures follow others, by ControlNets of every kind")
    parser.add_argument("--references", action="store_true", help="pictures edit others, by instruction")
    parser.add_argument("--ip-adapter", action="store_true", help="pictures look at others, by IP-Adapters, too")
    parser.add_argument("--regions", action="store_true", help="give most prompts regions")
    parser.add_argument("--cache", action="store_true", help="give most images a step cache of 2 or 3")
    parser.add_argument("--cpu-backend", default="torch", help="torch, or openvino")
    parser.add_argument("--unpacked", action="store_true", help="without packed weights of convolutions")
    parser.add_argument("--fleet", action="store_true", help="replay each member's pictures on every other, over Ray")
    add_options(parser)
    options = parser.parse_args(argv)
    if options.fleet and (name_chosen(options) != "paintbox" or options.loras or options.control or options.ip_adapter):
        parser.error("--fleet wants the built-in model: a member has others only where they were added.")
    if options.ip_adapter and options.family not in ("sd", "sdxl"):
        parser.error("--ip-adapter wants --family sd or --family sdxl: other families have no IP-Adapters.")
    if options.control and options.family not in ("sd", "sdxl"):
        parser.error("--control wants --family sd or --family sdxl: other families have no ControlNets.")
    if options.regions and options.control:
        parser.error("--regions does not go with --control: a Union takes no regions.")
    editing = [name for name, family in FAMILIES.items() if family.max_references]
    if options.references and options.family not in editing:
        parser.error(f"--references wants --family {' or '.join(editing)}: other families do not edit by instruction.")
    return options


def _open(options: argparse.Namespace, folder: Path) -> Model:
    """Return the model that the options name, with the ControlNets, IP-Adapters and LoRA that they ask for."""
    from bench._control import open_with_controls
    from bench._ip_adapter import open_with_ip_adapters
    from bench._loras import with_random_loras

    opening = open_with_ip_adapters if options.ip_adapter else open_with_controls if options.control else None
    model = open_chosen(options, folder) if opening is None else opening(options.family, folder)
    return with_random_loras(model, folder) if options.loras else model


def _interleave(
    engine: Engine, model: Model, generator: random.Random, options: argparse.Namespace
) -> list[tuple[GenerateCommand, Finished]]:
    """Generate them together, arriving at random moments; return each command with its result."""
    orders, done = draw(model, generator, options), dict[str, "Finished"]()
    paint_interleaved(engine, orders, generator, done)
    return [(order, done[order.image_id]) for order in orders]


def _is_alike(engine: Engine, order: GenerateCommand, crowded: Finished) -> bool:
    from bench._painting import run_alone

    return run_alone(engine, order).pixels == crowded.pixels
