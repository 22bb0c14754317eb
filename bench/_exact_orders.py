"""The pictures that `exact` draws: of every kind, by every sampler of a model."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

if TYPE_CHECKING:  # torch is loaded when this benchmark runs, not when the list of benchmarks is made
    from generation.jobs.protocol import GenerateCommand
    from generation.models.catalog import Model
    from generation.requests.prompt_addons import Adapter

_MARGIN_PX = 16
_LONG = "a harbour in the fog, evening light over the water, and a small red boat"
_PROMPTS = ("a red circle on a blue background", "a red cat", "blue", _LONG, f"{_LONG}, {_LONG}")
_NEGATIVES = ("", "dog", _LONG)
_LEFT, _RIGHT, _CENTER = "<region:left:a red boat>", "<region:right:a blue tower>", "<region:center:a swan>"
_REGIONAL = (
    f"a harbour {_LEFT}",
    f"{_LEFT}{_RIGHT}",
    f"{_LONG} {_CENTER} <region:top-third:a sky>",
    f"a harbour {_LEFT}, {_RIGHT}, {_CENTER}",
    "a harbour [at night:0.5] <region:bottom:[a cat|a dog]> <region:top-left:birds> <region:top-right:the moon>",
)
"""Of two to five rows with guidance."""


def draw_orders(
    model: Model,
    generator: random.Random,
    side_px: int,
    *,
    with_loras: bool,
    with_references: bool = False,
    with_regions: bool = False,
    with_cache: bool = False,
) -> Iterator[GenerateCommand]:
    """Yield five to nine images of random samplers that the model has."""
    from bench._references import draw_references

    for index in range(generator.randint(5, 9)):
        seen = draw_references(model, generator, side_px) if with_references else {}
        seen |= {"cache": generator.choice([UNSET, 2, 2, 3])} if with_cache else {}
        kinds = {"with_loras": with_loras, "with_regions": with_regions}
        yield _an_order(model, f"image-{index}", generator, side_px, **kinds, **seen)


def _an_order(
    model: Model,
    image_id: str,
    generator: random.Random,
    side_px: int,
    *,
    with_loras: bool,
    with_regions: bool,
    **seen: Any,
) -> GenerateCommand:
    from bench._control import draw_controls
    from bench._ip_adapter import draw_reference
    from bench._painting import an_order
    from generation.jobs.protocol import Share

    followed = draw_controls(model, generator, side_px) if model.controls else {}
    looked_at = draw_reference(model, generator, side_px) if model.ip_adapters else {}
    return an_order(
        model,
        image_id,
        share=Share(generator.randrange(4), generator.choice([0.5, 1.0, 2.0])),
        **_draw_prompt(generator, with_regions=with_regions),
        negative=generator.choice(_NEGATIVES),
        width_px=side_px,
        height_px=side_px,
        sampler=generator.choice(model.samplers),
        steps=generator.randint(3, 6),
        guidance=generator.choice([1.0, 4.0, 7.5]),
        **_a_true_cfg(model, generator),
        seed=generator.randrange(2**32),
        num_previews=generator.choice([0, 0, 2]),
        adapters=_some_loras(model, generator) if with_loras else (),
        **_a_kind(generator, side_px),
        **followed,
        **seen,
        **looked_at,
    )


def _draw_prompt(generator: random.Random, *, with_regions: bool) -> dict[str, Any]:
    """Return a prompt; of two in three with regions where there are some."""
    from generation.requests.prompt_weights import SYNTAX

    if not with_regions or generator.random() < 1 / 3:
        return {"prompt": generator.choice(_PROMPTS)}
    return {"prompt": generator.choice(_REGIONAL), "syntax": SYNTAX}


def _a_true_cfg(model: Model, generator: random.Random) -> dict[str, Any]:
    return {"true_cfg": generator.choice([1.0, 1.0, 2.0])} if model.defaults.embeds_guidance else {}


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
