"""`exact`: checks that every picture from a mixed batch is the same, byte for byte, when replayed alone from its trace.

Each interleaving admits one image of each of five samplers, and some neighbours, at random moments, in random rows,
with random seeds, steps, guidance, weights, start pictures, outpaint and hires fix. Then each is replayed. The control
paints the same images alone *without* their trace, as any batching without fixed buckets in the recipe must: it has to
differ.

    python -m bench exact [--json] [--interleavings 200] [--dtype float32 bfloat16] [--side 64] [--model paintbox]
                          [--shape tiny]   (random weights, a tenth of the time)

Keys: `images`, `differing`, `control_images`, `control_differing`, `dtype`; the same by number format in `by_dtype`.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # torch is loaded when this benchmark runs, not when the list of benchmarks is made
    from generation.engine.engine import Engine
    from generation.jobs.protocol import Finished, GenerateCommand
    from generation.models.catalog import Model


_CONTROLS = 20
"""Interleavings whose images are painted a third time, as the control."""


def main(argv: list[str]) -> int:
    options = _parse(argv)
    with tempfile.TemporaryDirectory() as folder:
        model = _open(options, Path(folder))
        by_dtype = [_measure(model, dtype, options) for dtype in options.dtype]
    counts = ("images", "differing", "control_images", "control_differing")
    result = {name: sum(each[name] for each in by_dtype) for name in counts} | {
        "dtype": ", ".join(each["dtype"] for each in by_dtype),
        "device": by_dtype[0]["device"],
        "interleavings": options.interleavings,
        "model": options.shape or model.name,
        "seconds": round(sum(each["seconds"] for each in by_dtype), 1),
        "by_dtype": {each["dtype"]: {name: each[name] for name in counts} for each in by_dtype},
    }
    print(json.dumps(result))
    return 0 if result["differing"] == 0 else 1


def _open(options: argparse.Namespace, folder: Path) -> Model:
    from bench._painting import open_model
    from bench._random_model import save_random_model

    return open_model(str(save_random_model(options.shape, folder)) if options.shape else options.model)


def _measure(model: Model, dtype: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run all interleavings in one number format."""
    from generation.engine.engine import Engine
    from generation.workers.engine_settings import EngineSettings

    engine = Engine([model], EngineSettings(dtype=dtype, num_threads=options.threads))
    started = time.perf_counter()
    images = differing = control_images = control_differing = 0
    for number in range(options.interleavings):
        generator = random.Random(number)
        pairs = _interleave(engine, model, generator, options)
        images += len(pairs)
        differing += sum(not _is_exact(engine, order, crowded) for order, crowded in pairs)
        control = pairs if number < _CONTROLS else []
        control_images += len(control)
        control_differing += sum(not _is_alike(engine, order, crowded) for order, crowded in control)
    engine.close()
    return {
        "images": images,
        "differing": differing,
        "control_images": control_images,
        "control_differing": control_differing,
        "dtype": engine.fingerprint.facts["dtype"],
        "device": engine.fingerprint.facts["device"],
        "seconds": time.perf_counter() - started,
    }


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench exact")
    parser.add_argument("--json", action="store_true", help="print the result only (it is JSON either way)")
    parser.add_argument("--interleavings", type=int, default=200)
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"], help="number formats, one after another")
    parser.add_argument("--side", type=int, default=64, help="pixels")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--model", default="paintbox")
    parser.add_argument("--shape", choices=("tiny", "sd15", "sdxl"), help="random weights of that shape")
    return parser.parse_args(argv)


def _orders(model: Model, generator: random.Random, side_px: int) -> Iterator[GenerateCommand]:
    from bench._painting import FIVE_SAMPLERS, an_order
    from generation.images.codec import encode_png
    from generation.jobs.protocol import Share
    from generation.requests.edits import Hires, Margins, StartImage

    margin_px = 16
    picture, inside = (
        encode_png(generator.randbytes(3 * width_px * side_px), (width_px, side_px))
        for width_px in (side_px, side_px - margin_px)
    )
    for index, sampler in enumerate([*FIVE_SAMPLERS, *generator.choices(FIVE_SAMPLERS, k=generator.randint(0, 4))]):
        kind = generator.choices(("words", "start", "outpaint", "hires"), weights=(6, 2, 1, 1))[0]
        start = {
            "start": StartImage(sha256="0" * 64, strength=0.7),
            "outpaint": StartImage(sha256="0" * 64, strength=1.0, margins=Margins(left=margin_px)),
        }.get(kind)
        yield an_order(
            model,
            f"image-{index}",
            share=Share(generator.randrange(4), generator.choice([0.5, 1.0, 2.0])),
            width_px=side_px,
            height_px=side_px,
            sampler=sampler,
            steps=generator.randint(3, 6),
            guidance=generator.choice([1.0, 4.0, 7.5]),
            seed=generator.randrange(2**32),
            start=start,
            hires=Hires(factor=1.5) if kind == "hires" else None,
            start_png={"start": picture, "outpaint": inside}.get(kind),
        )


def _interleave(
    engine: Engine, model: Model, generator: random.Random, options: argparse.Namespace
) -> list[tuple[GenerateCommand, Finished]]:
    """Generate them together, arriving at random moments; return each command with its result."""
    from bench._painting import finished

    orders = list(_orders(model, generator, options.side))
    generator.shuffle(orders)
    waiting, done = list(orders), {}
    while waiting or not engine.is_idle:
        if waiting and (engine.is_idle or generator.random() < 0.5):
            engine.admit(waiting.pop())
        done.update({event.image_id: event for event in finished(engine.step())})
    return [(order, done[order.image_id]) for order in orders]


def _is_exact(engine: Engine, order: GenerateCommand, crowded: Finished) -> bool:
    import msgspec

    from bench._painting import run_alone

    return run_alone(engine, msgspec.structs.replace(order, replay=crowded.trace)).pixels == crowded.pixels


def _is_alike(engine: Engine, order: GenerateCommand, crowded: Finished) -> bool:
    from bench._painting import run_alone

    return run_alone(engine, order).pixels == crowded.pixels
