"""Missing or no longer allowed models are left out and named: only the default must be there."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file

from cli import models as command
from generation.engine.families.sd import find_hidden_layer
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.models.hashing import digests
from generation.models.json_file import read_json
from generation.models.registry import Entry, Kind, ModelRegistry
from generation.models.weights import count_weight_bytes
from generation.requests.bases import name_base
from generation.requests.errors import ClipSkipError
from tests.generation.engine.painting import a_spec
from tests.generation.engine.toy import TOY, save_toy, save_toy_xl, toy_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a registry with one of each kind, and a second model with the VAE."""
    models = tmp_path / "models"
    toy = save_toy(tmp_path / "toy")
    vae = Path(shutil.copytree(toy / "vae", tmp_path / "vae"))
    lora, word = tmp_path / "ink.safetensors", tmp_path / "word.safetensors"
    save_file({"x": np.ones(2, np.float32)}, lora)
    save_file({"x": np.ones((2, 16), np.float32)}, word)
    entries = [
        Entry(name="toy", kind=Kind.MODEL, path=str(toy), files=digests(toy), family="sd"),
        Entry(name="soft", kind=Kind.VAE, path=str(vae), files=digests(vae)),
        Entry(name="toy-soft", kind=Kind.MODEL, path=str(toy), files=digests(toy), family="sd", vae="soft"),
        Entry(name="ink", kind=Kind.LORA, path=str(lora), files=digests(lora)),
        Entry(name="Word", kind=Kind.EMBEDDING, path=str(word), files=digests(word)),
    ]
    ModelRegistry(entries=tuple(entries)).write(models)
    return models


def names(catalog: Catalog) -> list[str]:
    return [model.name for model in catalog.models]


def test_all_that_is_there_is_offered(folder: Path) -> None:
    catalog = Catalog.open("toy", folder)
    assert names(catalog) == ["toy", "toy-soft", "paintbox"] and catalog.left_out == {}


def test_a_missing_model_is_named_and_left_out(folder: Path) -> None:
    """One missing file stopped every command that opens the application."""
    shutil.rmtree(folder.parent / "toy")
    catalog = Catalog.open("paintbox", folder)
    assert names(catalog) == ["paintbox"]
    assert catalog.left_out.keys() == {"toy", "toy-soft"}
    assert any(line.startswith("BAD        toy: ") for line in command.list_models(folder))


def test_so_does_one_that_may_not_be_opened_any_more(folder: Path) -> None:
    (folder.parent / "toy" / "model" / "unet" / "my.py").write_text("import os")
    assert "holds code" in Catalog.open("paintbox", folder).left_out["toy"]


def test_a_missing_vae_excludes_only_its_model(folder: Path) -> None:
    shutil.rmtree(folder.parent / "vae")
    catalog = Catalog.open("toy", folder)
    assert names(catalog) == ["toy", "paintbox"] and "VAE" in catalog.left_out["toy-soft"]


def test_missing_loras_and_embeddings_are_not_offered(folder: Path) -> None:
    (folder.parent / "ink.safetensors").unlink()
    (folder.parent / "word.safetensors").unlink()
    catalog = Catalog.open("toy", folder)
    assert [each.name for each in catalog.default.loras] == ["neon"] and catalog.default.embeddings == ()
    assert catalog.left_out.keys() == {"ink", "Word"}


def test_the_default_must_be_there(folder: Path) -> None:
    shutil.rmtree(folder.parent / "toy")
    with pytest.raises(ConfigurationError, match=r"there is no such folder"):
        Catalog.open("toy", folder)


def test_duplicate_names_of_an_older_release_mean_the_first(folder: Path) -> None:
    """Words are looked up in whatever case; a LoRA with a built-in name was announced and never used."""
    register = ModelRegistry.read(folder)
    ink, word = register.get("ink"), register.get("Word")
    assert ink is not None and word is not None
    entries = tuple(
        Entry(name=name, kind=entry.kind, path=entry.path, files=entry.files)
        for name, entry in (("neon", ink), ("WORD", word))
    )
    ModelRegistry(entries=(*register.entries, *entries)).write(folder)
    catalog = Catalog.open("toy", folder)
    assert [each.name for each in catalog.default.embeddings] == ["Word"]
    assert catalog.left_out.keys() == {"neon", "WORD"}


def test_a_folder_called_as_the_built_in_model_is_not_taken_for_it(folder: Path) -> None:
    """What the built-in model may paint without a checker is known by its name."""
    other = Path(shutil.copytree(folder.parent / "toy" / "model", folder.parent / "paintbox"))
    with pytest.raises(ConfigurationError, match="has the name of the built-in model"):
        Catalog.open(str(other), folder)


def test_a_default_folder_called_as_an_added_model_comes_before_it(folder: Path) -> None:
    other = Path(shutil.copytree(folder.parent / "toy" / "model", folder.parent / "elsewhere" / "toy"))
    catalog = Catalog.open(str(other), folder)
    assert names(catalog) == ["toy", "toy-soft", "paintbox"] and catalog.default.path == other
    assert "same name" in catalog.left_out["toy"]


# What members read of them.


def test_the_facts_of_the_registry_reach_what_is_offered(folder: Path) -> None:
    register = ModelRegistry.read(folder)
    facts = {"base_model": "SDXL 1.0", "licence": "openrail", "source": "owner/name", "revision": "a" * 40}
    for name, more in (("toy", {}), ("ink", {"trigger_words": ("ink wash", "paper"), "page": "https://civitai.com/1"})):
        entry = register.get(name)
        assert entry is not None
        register = register.with_entry(msgspec.structs.replace(entry, **facts, **more))
    register.write(folder)
    catalog = Catalog.open("toy", folder)
    ink = next(each for each in catalog.default.loras if each.name == "ink")
    assert (ink.note, name_base(ink), ink.page) == ("ink wash, paper", "SDXL 1.0", "https://civitai.com/1")
    assert (name_base(catalog.default), catalog.default.page) == ("SDXL 1.0", "https://huggingface.co/owner/name")
    word = catalog.default.embeddings[0]
    assert (word.trigger_words, name_base(word), word.page) == ((), "", "")
    assert name_base(replace(word, context_width=2048)) == "Stable Diffusion XL"


@pytest.mark.parametrize(("family", "last"), [("sd", -1), ("sdxl", -2)])
def test_the_largest_clip_skip_is_the_engine_s(tmp_path: Path, family: str, last: int) -> None:
    model = Catalog.open(str(save_toy(tmp_path) if family == "sd" else save_toy_xl(tmp_path))).default
    encoder = SimpleNamespace(config=SimpleNamespace(**read_json(model.path / "text_encoder" / "config.json")))
    assert model.max_clip_skip > 0 and not model.is_inpainting
    find_hidden_layer(a_spec(clip_skip=model.max_clip_skip), encoder, last=last)
    with pytest.raises(ClipSkipError, match=f"at most {model.max_clip_skip} "):
        find_hidden_layer(a_spec(clip_skip=model.max_clip_skip + 1), encoder, last=last)


def test_a_model_for_inpainting_is_known_by_its_channels(tmp_path: Path) -> None:
    folder = save_toy(tmp_path, sizes=replace(TOY, in_channels=9))
    assert Catalog.open(str(folder)).default.is_inpainting


def test_the_weights_that_are_read_are_counted(tmp_path: Path) -> None:
    folder = save_toy(tmp_path)
    sizes = {path.parent.name: path.stat().st_size for path in folder.rglob("*.safetensors")}
    (folder / "unet" / "diffusion_pytorch_model.non_ema.safetensors").write_bytes(b"x" * 1000)
    other = tmp_path / "vae.safetensors"
    other.write_bytes(b"x" * 77)
    whole = sum(sizes[part] for part in ("text_encoder", "unet", "vae"))
    assert count_weight_bytes(toy_model(folder)) == whole
    assert count_weight_bytes(toy_model(folder, vae=other)) == whole - sizes["vae"] + 77
    assert count_weight_bytes(toy_model(other, config=folder)) == 77
    shutil.rmtree(folder / "unet")
    assert count_weight_bytes(toy_model(folder)) == 0
