"""`exact`: checks that every picture from a mixed batch is the same, byte for byte, when replayed alone from its trace.

Each interleaving admits five to nine images at random moments, in random rows: of every sampler of the model, with
random seeds, steps, guidance, prompts and negative prompts of several lengths, weights, previews, start pictures,
masks, outpaint, variations and hires fix. Then each is replayed. The control paints the same images alone *without*
their trace, as any batching without fixed buckets in the recipe must: it has to differ.

With `--control`, two of three images follow one to three pictures, by ControlNets, T2I-Adapters and XL's Union.

    python -m bench exact [--json] [--interleavings 200] [--dtype float32 bfloat16] [--side 64] [--model paintbox]
                          [--family sd|sdxl|zimage|klein]   (toys with random weights, a tenth of the time)
                          [--loras]   (most images have one or two of two random LoRA; of a model folder)
                          [--control]   (with --family sd or sdxl)

Keys: `images`, `following` (those with a ControlNet), `differing`, `control_images`, `control_differing`, `dtype`; the
same by number format in `by_dtype`.
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

from bench._weights import add_options, name_chosen, open_chosen

if TYPE_CHECKING:  # torch is loaded when this benchmark runs, not when the list of benchmarks is made
    from generation.engine.engine import Engine
    from generation.jobs.protocol import Finished, GenerateCommand
    from generation.models.catalog import Model
    from generation.requests.prompt_addons import Adapter


_CONTROLS = 20
"""Interleavings whose images are painted a third time, as the control."""
_MARGIN_PX = 16
_LONG = "a harbour in the fog, evening light over the water, and a small red boat"
_PROMPTS = ("a red circle on a blue background", "a red cat", "blue", _LONG, f"{_LONG}, {_LONG}")
_NEGATIVES = ("", "dog", _LONG)


def main(argv: list[str]) -> int:
    options = _parse(argv)
    with tempfile.TemporaryDirectory() as folder:
        model = _open(options, Path(folder))
        by_dtype = [_measure(model, dtype, options) for dtype in options.dtype]
    counts = ("images", "following", "differing", "control_images", "control_differing")
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


def _measure(model: Model, dtype: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run all interleavings in one number format."""
    from generation.engine.engine import Engine
    from generation.workers.engine_settings import EngineSettings

    engine = Engine([model], EngineSettings(dtype=dtype, num_threads=options.threads))
    started = time.perf_counter()
    images = following = differing = control_images = control_differing = 0
    for number in range(options.interleavings):
        generator = random.Random(number)
        pairs = _interleave(engine, model, generator, options)
        images += len(pairs)
        following += sum(bool(order.spec.controls) for order, _ in pairs)
        differing += sum(not _is_exact(engine, order, crowded) for order, crowded in pairs)
        control = pairs if number < _CONTROLS else []
        control_images += len(control)
        control_differing += sum(not _is_alike(engine, order, crowded) for order, crowded in control)
    engine.close()
    return {
        "images": images,
        "following": following,
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
    parser.add_argument("--loras", action="store_true", help="give most images LoRA of random numbers")
    parser.add_argument("--control", action="store_true", help="pictures follow others, by ControlNets of every kind")
    add_options(parser)
    options = parser.parse_args(argv)
    if options.control and options.family not in ("sd", "sdxl"):
        parser.error("--control wants --family sd or --family sdxl: other families have no ControlNets.")
    return options


def _open(options: argparse.Namespace, folder: Path) -> Model:
    """Return the model that the options name, with the ControlNets and LoRA that they ask for."""
    from bench._control import open_with_controls
    from bench._loras import with_random_loras

    model = open_with_controls(options.family, folder) if options.control else open_chosen(options, folder)
    return with_random_loras(model, folder) if options.loras else model


def _orders(model: Model, generator: random.Random, side_px: int, *, with_loras: bool) -> Iterator[GenerateCommand]:
    """Yield five to nine images of random samplers that the model has."""
    for index in range(generator.randint(5, 9)):
        yield _an_order(model, f"image-{index}", generator, side_px, with_loras=with_loras)


def _an_order(
    model: Model, image_id: str, generator: random.Random, side_px: int, *, with_loras: bool
) -> GenerateCommand:
    from bench._control import draw_controls
    from bench._painting import an_order
    from generation.jobs.protocol import Share

    followed = draw_controls(model, generator, side_px) if model.controls else {}
    return an_order(
        model,
        image_id,
        share=Share(generator.randrange(4), generator.choice([0.5, 1.0, 2.0])),
        prompt=generator.choice(_PROMPTS),
        negative=generator.choice(_NEGATIVES),
        width_px=side_px,
        height_px=side_px,
        sampler=generator.choice(model.samplers),
        steps=generator.randint(3, 6),
        guidance=generator.choice([1.0, 4.0, 7.5]),
        seed=generator.randrange(2**32),
        num_previews=generator.choice([0, 0, 2]),
        adapters=_some_loras(model, generator) if with_loras else (),
        **_a_kind(generator, side_px),
        **followed,
    )


def _some_loras(model: Model, generator: random.Random) -> tuple[Adapter, ...]:
    """Return none, one or both of two LoRA, in any order, of a weight that other images may have too."""
    from generation.requests.prompt_addons import Adapter

    chosen = generator.sample(model.loras[-2:], generator.choice([0, 1, 1, 2]))
    return tuple(Adapter(each.name, each.sha256, generator.choice([0.5, 1.0])) for each in chosen)


def _a_kind(generator: random.Random, side_px: int) -> dict[str, Any]:
    """Return what it is made from: words, another seed's noise, a start picture, part of one, a border, a hires fix."""
    from generation.requests.edits import Hires, Margins, StartImage, Variation

    def drawn(width_px: int) -> bytes:
        from generation.images.codec import encode_png

        return encode_png(generator.randbytes(3 * width_px * side_px), (width_px, side_px))

    def start(strength: float, **more: Any) -> StartImage:
        return StartImage(sha256="0" * 64, strength=strength, **more)

    kinds: dict[str, dict[str, Any]] = {
        "words": {},
        "variation": {"variation": Variation(seed=9, strength=0.4)},
        "start": {"start": start(0.7), "start_png": drawn(side_px)},
        "mask": {"start": start(0.7, mask_sha256="1" * 64), "start_png": drawn(side_px), "mask_png": drawn(side_px)},
        "outpaint": {"start": start(1.0, margins=Margins(left=_MARGIN_PX)), "start_png": drawn(side_px - _MARGIN_PX)},
        "hires": {"hires": Hires(factor=1.5)},
    }
    return kinds[generator.choices(list(kinds), weights=(5, 1, 2, 1, 1, 1))[0]]


def _interleave(
    engine: Engine, model: Model, generator: random.Random, options: argparse.Namespace
) -> list[tuple[GenerateCommand, Finished]]:
    """Generate them together, arriving at random moments; return each command with its result."""
    from bench._painting import finished

    orders = list(_orders(model, generator, options.side, with_loras=options.loras))
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
