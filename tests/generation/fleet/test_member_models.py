"""A model is its SHA-256, and each machine has its own files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from generation.fleet.member_models import resolve_models
from generation.models.catalog import PAINTBOX, Catalog
from generation.models.shared_additions import AddedChecker
from generation.requests.prompt_addons import PromptAddon
from tests.generation.fleet.orders import a_model

LORA = PromptAddon(name="ink", path=Path("/bot/ink.safetensors"), sha256="1" * 64)
CHECKER = AddedChecker(name="strict", path=Path("/bot/strict"), sha256="2" * 64)


def test_a_model_is_found_by_its_sha256_under_another_name_and_path() -> None:
    wanted = a_model("sdxl", sha256="a" * 64, folder="/bot", loras=(LORA,))
    own_lora = replace(LORA, name="tusche", path=Path("/box2/tusche.safetensors"))
    own = a_model("sdxl-1.0", sha256="a" * 64, folder="/box2", loras=(own_lora,))
    resolved = resolve_models([wanted], Catalog((own,)))
    (found,) = resolved.models
    assert not resolved.missing
    assert (found.name, found.path) == ("sdxl", own.path)
    assert [(each.name, each.path) for each in found.loras] == [("ink", own_lora.path)]


def test_the_same_name_with_other_weights_is_not_the_model() -> None:
    resolved = resolve_models(
        [a_model("sdxl", sha256="a" * 64, folder="/bot")], Catalog((a_model("sdxl", sha256="b" * 64, folder="/box2"),))
    )
    assert not resolved.models
    assert "No model with SHA-256 aaaaaaaaaaaa" in resolved.missing["sdxl"]


def test_a_folder_that_was_never_added_is_nobody_elses() -> None:
    resolved = resolve_models(
        [a_model("mine", sha256="", folder="/bot")], Catalog((a_model("mine", sha256="", folder="/bot"),))
    )
    assert "has no SHA-256" in resolved.missing["mine"]


def test_a_machine_that_lacks_a_lora_or_a_checker_does_not_offer_the_model() -> None:
    """A picture placed there would fail, or pass unchecked."""
    wanted = a_model("sdxl", sha256="a" * 64, folder="/bot", loras=(LORA,), added_checkers=(CHECKER,))
    own = a_model("sdxl", sha256="a" * 64, folder="/box2")
    resolved = resolve_models([wanted], Catalog((own,)))
    assert not resolved.models
    assert "the LoRA “ink”, the safety checker “strict”" in resolved.missing["sdxl"]
    own = replace(own, loras=(replace(LORA, sha256="9" * 64),), added_checkers=(CHECKER,))
    assert "the LoRA “ink”" in resolve_models([wanted], Catalog((own,))).missing["sdxl"]


def test_the_built_in_model_is_each_machines_own() -> None:
    catalog = Catalog.open(PAINTBOX)
    resolved = resolve_models(catalog.models, catalog)
    assert resolved.models == catalog.models and not resolved.missing
