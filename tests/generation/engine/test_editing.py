"""Edits by instruction beside the stock pipeline: FLUX.2 klein with one to four pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from diffusers import Flux2KleinPipeline
from PIL import Image as PillowImage
from PIL import ImageOps

from generation.engine import slot as slots
from generation.engine.engine import Engine
from generation.engine.families.base import REFERENCE
from generation.engine.pixels import to_model_range
from generation.engine.slot import Slot
from generation.images.codec import decode_png, encode_png
from generation.jobs.protocol import Finished, GenerateCommand, ImageFailed
from generation.requests.edits import Hires
from generation.requests.recipe import Trace
from generation.requests.references import Reference
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_picture, a_spec, a_start, an_order, as_array, ends, paint, run
from tests.generation.engine.toy_flow import save_toy_klein, toy_flow_model

FORMATS = {"float32": (1, 0.01), "bfloat16": (32, 2.0)}
"""Levels of 255 that a value may be off the stock pipeline's, at most and on average. In bfloat16 that one rounds its
latents after each step, and ours stay in float32: as much without a picture to edit."""
SQUARE, WIDE, TALL = (64, 64), (96, 64), (64, 96)
SEEN = {
    "none": [],
    "one": [SQUARE],
    "two": [WIDE, SQUARE],
    "four": [SQUARE, TALL, WIDE, SQUARE],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_klein(tmp_path_factory.mktemp("klein"))


@pytest.fixture(scope="module", params=["float32", pytest.param("bfloat16", marks=pytest.mark.long)])
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def engine(folder: Path, dtype: str) -> Engine:
    return Engine([toy_flow_model(folder, "klein")], EngineSettings(num_threads=1, dtype=dtype, packs_weights=False))


@pytest.fixture(scope="module")
def stock(folder: Path, dtype: str) -> Flux2KleinPipeline:
    pipeline = Flux2KleinPipeline.from_pretrained(folder, dtype=getattr(torch, dtype))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def an_edit(*sizes: tuple[int, int], first: int = 0, image_id: str = "a-0", **changes: Any) -> GenerateCommand:
    """Return an order that edits pictures of these sizes, drawn from `first` on."""
    seen = tuple(
        Reference(sha256=f"{first + place}" * 64, width_px=width, height_px=height)
        for place, (width, height) in enumerate(sizes)
    )
    spec = a_spec(**{"sampler": "Euler", "negative": "", **({"reference": seen} if seen else {})} | changes)
    pngs = tuple(a_picture(first + place, size_px) for place, size_px in enumerate(sizes))
    return an_order(spec, image_id=image_id, reference_pngs=pngs)


def stock_picture(stock: Flux2KleinPipeline, order: GenerateCommand) -> np.ndarray:
    spec: ImageSpec = order.spec
    negative, _ = stock.encode_prompt(prompt=spec.negative)
    given = [PillowImage.frombytes("RGB", size, rows) for rows, size in drawn(order)]
    output = stock(
        image=given or None,
        prompt=spec.prompt,
        negative_prompt_embeds=negative,
        width=spec.width_px,
        height=spec.height_px,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance,
        generator=torch.Generator().manual_seed(spec.seed),
        output_type="np",
    )
    return (output.images[0] * 255).round().astype(int)


@pytest.mark.parametrize(
    ("number", "guidance"),
    [
        ("two", 3.0),
        *(
            pytest.param(number, guidance, marks=pytest.mark.long)
            for number in SEEN
            for guidance in (1.0, 3.0)
            if (number, guidance) != ("two", 3.0)
        ),
    ],
)
def test_an_edit_matches_the_stock_pipeline(
    engine: Engine, stock: Flux2KleinPipeline, dtype: str, number: str, guidance: float
) -> None:
    order = an_edit(*SEEN[number], guidance=guidance, steps=3)
    off = np.abs(as_array(paint(engine, order)) - stock_picture(stock, order))
    most, usual = FORMATS[dtype]
    assert off.max() <= most and off.mean() <= usual, f"at most {off.max()} of 255, on average {off.mean():.4f}"


@pytest.mark.parametrize("number", ["four", pytest.param("one", marks=pytest.mark.long)])
def test_a_forward_has_the_bits_of_the_stock_pipelines(
    engine: Engine, stock: Flux2KleinPipeline, dtype: str, number: str
) -> None:
    order = an_edit(*SEEN[number], guidance=1.0)
    family, given = engine._models.get("toy").family, getattr(torch, dtype)
    pictures = [to_model_range(np.frombuffer(rows, np.uint8).reshape(*size[::-1], 3)) for rows, size in drawn(order)]
    with torch.inference_mode():
        slot = Slot(order, family, 1)
        slot.begin(torch.device("cpu"))
        conditioning = {name: rows.to(given) for name, rows in slot.conditioning.items()}
        latents, time = slot.model_input().to(given), torch.tensor([slot.timestep()])
        ours = family.denoise(latents, time, conditioning)
        seen, places = stock.prepare_image_latents(pictures, 1, None, torch.device("cpu"), given)
        text = conditioning["encoder_hidden_states"]
        theirs = stock.transformer(
            hidden_states=torch.cat([stock._pack_latents(latents), seen], dim=1),
            timestep=time.to(given) / 1000,
            guidance=None,
            encoder_hidden_states=text,
            txt_ids=stock._prepare_text_ids(text),
            img_ids=torch.cat([stock._prepare_latent_ids(latents), places], dim=1),
            return_dict=False,
        )[0][:, :16]
    assert torch.equal(stock._pack_latents(ours), theirs)


def test_what_is_kept_of_a_picture_is_told_apart_by_how_it_was_encoded(folder: Path) -> None:
    """A replay from before weights were packed sees what it saw then, also after a packed edit of the same picture."""
    order, model = an_edit(SQUARE), toy_flow_model(folder, "klein")
    settings = {"num_threads": 1, "dtype": "float32"}
    before, now = (Engine([model], EngineSettings(**settings, packs_weights=packs)) for packs in (False, True))  # type: ignore[arg-type]
    if not now._device.packs:
        pytest.skip("this processor's convolutions are not packed")
    replay = msgspec.structs.replace(order, replay=paint(before, order).trace)
    then, packed, again = look(before, order), look(now, order), look(now, replay)
    assert torch.equal(again, then) and not torch.equal(packed, then)
    assert torch.equal(look(now, order), packed)
    before.close()
    now.close()


@torch.inference_mode()
def look(engine: Engine, order: GenerateCommand) -> torch.Tensor:
    """Return the latents of the one picture that an order sees."""
    model = engine._models.get("toy")
    slot = Slot(order, model.family, 1, traits=model.traits)
    slot.begin(torch.device("cpu"))
    return slot.conditioning[f"{REFERENCE}0"]


def test_what_is_seen_and_its_order_change_the_picture(engine: Engine) -> None:
    plain, one, both, turned = (
        as_array(paint(engine, order))
        for order in (an_edit(), an_edit(SQUARE), an_edit(SQUARE, WIDE), an_edit(SQUARE, WIDE, first=3))
    )
    other = an_edit(SQUARE, WIDE)
    swapped = replace(other.spec, reference=other.spec.references[::-1])
    again = as_array(paint(engine, an_order(swapped, reference_pngs=other.reference_pngs[::-1])))
    assert all((a != b).any() for a, b in combinations((plain, one, both, turned, again), 2))


def test_a_picture_of_another_size_is_cropped_and_scaled_as_the_spec_says(engine: Engine) -> None:
    order = an_edit(SQUARE)
    large = msgspec.structs.replace(order, reference_pngs=(a_picture(9, (200, 130)),))
    pixels = decode_png(large.reference_pngs[0])
    fitted = ImageOps.fit(PillowImage.frombytes("RGB", pixels[1], pixels[0]), SQUARE, PillowImage.Resampling.LANCZOS)
    cropped = msgspec.structs.replace(order, reference_pngs=(encode_png(fitted.tobytes(), SQUARE),))
    fresh = [
        an_order(replace(each.spec, reference=named(each.spec, digit)), reference_pngs=each.reference_pngs)
        for each, digit in ((large, "a"), (cropped, "b"))
    ]
    first, second = (paint(engine, each).pixels for each in fresh)
    assert first == second


def test_a_missing_picture_ends_its_image_alone(engine: Engine) -> None:
    bad = msgspec.structs.replace(an_edit(SQUARE, image_id="bad"), reference_pngs=())
    said = ends(run(engine, bad, an_edit(SQUARE, image_id="good")))
    assert isinstance(said["bad"], ImageFailed) and not isinstance(said["good"], ImageFailed)


def test_a_second_pass_and_a_start_picture_see_it_too(engine: Engine) -> None:
    for changes in ({"hires": Hires(factor=1.5)}, {"start": a_start(strength=0.6)}):
        seen, blind = (as_array(paint(engine, an_edit(*sizes, steps=2, **changes))) for sizes in ([WIDE], []))
        assert (seen != blind).any()


def test_edits_share_forwards_with_others_of_their_sizes_alone_and_replay(engine: Engine) -> None:
    sees: tuple[list[tuple[int, int]], ...] = ([], [SQUARE], [SQUARE], [SQUARE, WIDE], [WIDE, SQUARE])
    orders = [
        an_edit(*sizes, image_id=f"a-{index}", seed=index, guidance=1.0 + index % 2, steps=2)
        for index, sizes in enumerate(sees)
    ]
    crowd = {name: end for name, end in ends(run(engine, *orders)).items() if isinstance(end, Finished)}
    buckets = [max(each.rows for each in Trace.parse(crowd[f"a-{index}"].trace).forwards()) for index in range(5)]
    assert buckets == [1, 4, 4, 2, 1], "with those alone that see pictures of the same sizes, in their order"
    for order in orders:
        alone = paint(engine, msgspec.structs.replace(order, replay=crowd[order.image_id].trace))
        assert alone == crowd[order.image_id]


def test_a_key_that_forgets_what_is_seen_paints_wrong_pictures(
    engine: Engine, folder: Path, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: an image that sees two pictures, in the forward of one that sees the first of them, loses one."""
    orders = [
        an_edit(*sizes, image_id=name, steps=2, guidance=1.0)
        for name, sizes in (("one", [SQUARE]), ("two", [SQUARE, WIDE]))
    ]
    right = {order.image_id: paint(engine, order) for order in orders}
    monkeypatch.setattr(slots, "list_reference_sizes", lambda spec: ())
    forgetful = Engine(
        [toy_flow_model(folder, "klein")], EngineSettings(num_threads=1, dtype=dtype, packs_weights=False)
    )
    crowd = ends(run(forgetful, *orders))["two"]
    assert isinstance(crowd, Finished) and (as_array(crowd) != as_array(right["two"])).any()


def drawn(order: GenerateCommand) -> Iterator[tuple[bytes, tuple[int, int]]]:
    return map(decode_png, order.reference_pngs)


def named(spec: ImageSpec, digit: str) -> tuple[Reference, ...]:
    return tuple(replace(each, sha256=digit * 64) for each in spec.references)
