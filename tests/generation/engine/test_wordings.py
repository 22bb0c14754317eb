"""An image whose prompts change from step to step: its key, its company, its second pass, its replay."""

from __future__ import annotations

import torch

from generation.engine.engine import Engine
from generation.engine.slot import Slot
from generation.requests.edits import Hires
from generation.requests.recipe import Forward
from tests.generation.engine.painting import a_spec, a_start, an_order, ends, paint, run


def test_the_key_follows_the_length_of_the_words(engine: Engine) -> None:
    long = "x " * 80
    slot = Slot(an_order(a_spec(prompt=f"[a:{long}:0.5]", syntax=3)), engine._models.get("toy").family, 1)
    with torch.inference_mode():
        slot.begin(torch.device("cpu"))
    keys, widths = [], []
    while not slot.is_denoised:
        keys.append(slot.key.text)
        widths.append(slot.conditioning["encoder_hidden_states"].shape[1])
        slot.advance(torch.zeros(2, *slot.key.latent_shape), Forward(2))
    assert keys[0] == keys[1] != keys[2] == keys[3]
    assert widths == [77, 77, 154, 154]


def test_among_others_and_alone_it_has_the_same_bytes(engine: Engine) -> None:
    specs = [
        a_spec(prompt="[a cat:" + "x " * 80 + ":0.5]", negative="[u|v]", sampler="Heun", syntax=3),
        a_spec(prompt="[a|b] c", hires=Hires(factor=1.5), syntax=3),
        a_spec(prompt="a [b:c:0.5]", start=a_start(strength=0.5), guidance=1.0, syntax=3),
        a_spec(prompt="a BREAK [b:c:0.5]", syntax=3),
        a_spec(),
    ]
    together = ends(run(engine, *(an_order(spec, image_id=f"{n}-0") for n, spec in enumerate(specs))))
    for number, spec in enumerate(specs):
        first = together[f"{number}-0"]
        again = paint(engine, an_order(spec, replay=first.trace))  # type: ignore[union-attr]
        assert again.pixels == first.pixels, spec.prompt  # type: ignore[union-attr]


def test_a_wording_may_be_empty_and_an_older_spec_has_none(engine: Engine) -> None:
    assert paint(engine, an_order(a_spec(prompt="[a cat::0.5]", syntax=3))).pixels
    old = paint(engine, an_order(a_spec(prompt="[a|b] BREAK c", syntax=2))).pixels
    assert old != paint(engine, an_order(a_spec(prompt="[a|b] BREAK c", syntax=3))).pixels
    assert (
        paint(engine, an_order(a_spec(prompt="a red cat"))).pixels
        == paint(engine, an_order(a_spec(prompt="a red cat", syntax=3))).pixels
    )
