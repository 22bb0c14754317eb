"""A LoRA that makes a model fast chooses steps, guidance and sampler for a request that leaves them open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from generation.admission.typed import Typed, build_request
from generation.models.catalog import Catalog, Model
from generation.requests.defaults import DefaultOverrides
from generation.requests.origin import Origin
from generation.requests.prompt_addons import PromptAddon
from generation.requests.spec import GenerationRequest

FAST = DefaultOverrides(steps=4, guidance=1.0, sampler="LCM")


def a_lora(name: str, **rest: Any) -> PromptAddon:
    return PromptAddon(name=name, path=Path(f"{name}.safetensors"), sha256="0" * 64, **rest)


@pytest.fixture
def model() -> Model:
    plain = Catalog.open("paintbox").default
    loras = (a_lora("lcm", defaults=FAST), a_lora("ink"), a_lora("slow", defaults=DefaultOverrides(steps=9)))
    return replace(plain, loras=loras, defaults=replace(plain.defaults, steps=20, guidance=7.0, negative="blurry"))


def ask(model: Model, prompt: str, **rest: Any) -> GenerationRequest:
    return build_request(Typed(prompt=prompt, model=model, **rest))


def chosen(request: GenerationRequest) -> tuple[int, float, str]:
    return request.spec.steps, request.spec.guidance, request.spec.sampler


def test_it_chooses_what_is_left_open(model: Model) -> None:
    own = (20, 7.0, model.defaults.sampler)
    assert chosen(ask(model, "a cat")) == chosen(ask(model, "a cat <lora:ink:1>")) == own
    assert chosen(ask(model, "a cat <lora:ink:1> <lora:LCM:0.8>")) == (4, 1.0, "LCM")
    assert chosen(ask(model, "a cat", lora="lcm")) == (4, 1.0, "LCM")
    assert chosen(ask(model, "a cat <lora:lcm:0>")) == chosen(ask(model, "a cat <lora:lcm:-1>")) == own
    assert chosen(ask(model, "a cat <lora:slow:1> <lora:lcm:1>")) == (9, 7.0, model.defaults.sampler), "the first"


def test_what_is_typed_goes_before_it(model: Model) -> None:
    typed = ask(model, "a cat <lora:lcm:1>", steps=8, sampler="TCD", guidance=2.0)
    assert chosen(typed) == (8, 2.0, "TCD")


def test_a_negative_prompt_of_the_model_goes_where_it_cannot_work(model: Model) -> None:
    assert ask(model, "a cat").spec.negative == "blurry"
    assert ask(model, "a cat <lora:lcm:1>").spec.negative == ""
    assert ask(model, "a cat <lora:lcm:1>", guidance=1.5).spec.negative == "blurry"
    assert ask(model, "a cat <lora:lcm:1>", negative="green").spec.negative == "green"


def test_it_chooses_for_prompts_that_are_still_to_be_drawn(model: Model) -> None:
    assert chosen(ask(model, "a {red|blue} cat <lora:lcm:1>")) == (4, 1.0, "LCM")
    assert chosen(ask(model, "a {cat|dog <lora:lcm:1>}"))[0] == 20, "only some of its pictures would have it"


def test_it_goes_before_the_defaults_of_a_member_and_a_server(model: Model) -> None:
    origins = {"sampler": Origin.MEMBER, "steps": Origin.SERVER, "model": Origin.TYPED}
    typed = {"sampler": "DDIM", "shown": {"chosen_by": origins}}
    asked = ask(model, "a cat <lora:lcm:1>", **typed)
    assert chosen(asked) == (4, 1.0, "LCM") and not asked.chosen_by
    asked = ask(model, "a cat <lora:lcm:1>", sampler="DDIM", shown={"chosen_by": {**origins, "sampler": Origin.TYPED}})
    assert chosen(asked) == (4, 1.0, "DDIM")
    assert ask(model, "a cat", **typed).chosen_by == origins
    kept = {**origins, "shape": Origin.CHANNEL}
    assert ask(model, "a cat <lora:lcm:1>", sampler="DDIM", shown={"chosen_by": kept}).chosen_by == {
        "model": Origin.TYPED,
        "shape": Origin.CHANNEL,
    }
