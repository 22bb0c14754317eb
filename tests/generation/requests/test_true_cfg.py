"""Models whose network reads guidance as a number: what a negative prompt does and costs there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec import UNSET

from generation.errors import InvalidRequestError
from generation.images.interchange.a1111 import read_a1111
from generation.images.metadata import format_parameters
from generation.jobs.derive_edits import replace_prompt
from generation.models.catalog import PAINTBOX, Catalog, Model
from generation.requests.cost import image_cost
from generation.requests.defaults import TRUE_CFG
from generation.requests.plain import is_plain
from generation.requests.recipe import Fingerprint, Recipe
from generation.requests.spec import ImageSpec
from generation.requests.unread_syntax import list_prompt_notes

PLAIN = Catalog.open(PAINTBOX).default
DEV: Model = replace(
    PLAIN, name="dev", defaults=replace(PLAIN.defaults, guidance=3.5, sampler="Euler", embeds_guidance=True)
)


def spec_of(model: Model = DEV, **changes: Any) -> ImageSpec:
    return ImageSpec.for_model(model, prompt="a harbour", seed=1, **changes)


def test_guidance_alone_takes_one_row_and_a_negative_prompt_a_second() -> None:
    plain, avoiding = spec_of(), spec_of(negative="fog")
    assert (plain.guidance, plain.true_cfg, plain.num_rows) == (3.5, 1.0, 1)
    assert (avoiding.guidance, avoiding.true_cfg, avoiding.num_rows) == (3.5, TRUE_CFG, 2)
    assert spec_of(guidance=1.0, negative="fog").num_rows == 2, "whatever the number is"
    assert image_cost(avoiding) > 1.5 * image_cost(plain)
    assert list_prompt_notes(replace(avoiding, syntax=3)) == (), "it has an effect"


def test_of_other_models_nothing_of_it_is_said() -> None:
    spec = spec_of(PLAIN, negative="fog")
    assert (spec.true_cfg, spec.cfg_scale) == (UNSET, spec.guidance)
    recipe = a_recipe(spec)
    assert "true_cfg" not in recipe.to_json() and "Distilled" not in format_parameters(recipe)


def test_another_negative_prompt_of_a_finished_picture_is_avoided_or_not() -> None:
    avoiding = replace_prompt(spec_of(), DEV, "a harbour", "fog")
    assert avoiding.true_cfg == TRUE_CFG
    assert replace_prompt(replace(avoiding, true_cfg=3.0), DEV, "a quay").true_cfg == 3.0
    assert replace_prompt(avoiding, DEV, "a harbour", "").true_cfg == 1.0
    assert replace_prompt(spec_of(PLAIN), PLAIN, "a harbour", "fog").true_cfg is UNSET


def test_a_recipe_and_the_line_for_other_tools_have_both_numbers() -> None:
    recipe = a_recipe(spec_of(negative="fog", guidance=4.5))
    assert Recipe.from_json(recipe.to_json()) == recipe
    said = format_parameters(recipe)
    assert "CFG scale: 2," in said and "Distilled CFG Scale: 4.5" in said
    found = read_a1111({"parameters": said})
    assert found is not None and found.guidance == 4.5
    assert is_plain(spec_of()) and not is_plain(spec_of(negative="fog"))


@pytest.mark.parametrize("number", [0.5, 1000.0])
def test_a_scale_that_is_none_is_refused(number: float) -> None:
    with pytest.raises(InvalidRequestError):
        replace(spec_of(), true_cfg=number)


def a_recipe(spec: ImageSpec) -> Recipe:
    return Recipe(
        spec=spec, trace="1x4", model_sha256="0" * 64, fingerprint=Fingerprint(facts={}), pixels_sha256="1" * 64
    )
