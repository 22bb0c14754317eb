"""Text encoders come from the hub with their word list, in one step, by the library's real client."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType as Kind
from huggingface_hub import constants
from transformers import Qwen3Model

from cli import models as command
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.models.links import HubLink, parse_link
from generation.models.registry import Entry, ModelRegistry
from generation.models.verify import verify
from tests.generation.engine.toy_files import save_text_encoder
from tests.generation.engine.toy_flow import save_toy_zimage
from tests.generation.engine.toy_text import read_text, save_gguf_text
from tests.generation.engine.trial_here import require_loadable_here
from tests.generation.models.toy_hub import COMMIT, ToyHub, serve_hub

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers
PART = ("toy-text-encoder/text_encoder", "toy-text-encoder/tokenizer")
WORDS = ("tokenizer.json", "tokenizer_config.json")


@pytest.fixture(scope="module")
def zimage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_zimage(tmp_path_factory.mktemp("zimage"))


@pytest.fixture(scope="module")
def repositories(zimage: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A text encoder as its authors publish it, a whole model, and files as others publish them."""
    root = tmp_path_factory.mktemp("hub")
    names = ("qwen/Qwen3-toy", "tongyi/toy", "comfy/split", "gguf/beside", "gguf/alone", "meta/llama", "some/half")
    folders = {name: root / name for name in names}
    Qwen3Model.from_pretrained(zimage / "text_encoder").save_pretrained(folders[names[0]], max_shard_size="100KB")
    shutil.copytree(zimage / "tokenizer", folders[names[0]], dirs_exist_ok=True)
    shutil.copytree(zimage, folders["tongyi/toy"])
    for name in ("comfy/split", "gguf/beside", "gguf/alone", "meta/llama", "some/half/text_encoder"):
        (root / name).mkdir(parents=True, exist_ok=True)
    inside = folders["comfy/split"] / "split_files" / "text_encoders"
    inside.mkdir(parents=True)
    save_text_encoder(zimage, inside / "qwen.safetensors")
    for name in ("gguf/beside", "gguf/alone"):
        save_gguf_text(read_text(zimage), folders[name] / "Toy-Q8_0.gguf", Kind.Q8_0)
    shutil.copytree(zimage / "tokenizer", folders["gguf/beside"] / "tokenizer")
    for index in (1, 2):
        (folders["meta/llama"] / f"model-0000{index}-of-00002.safetensors").write_bytes(b"never fetched")
    for name in ("meta/llama", "some/half/text_encoder"):
        (root / name / "config.json").write_text(json.dumps({"model_type": "llama"}))
    for folder in folders.values():
        (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\nA toy.")
    return folders


@pytest.fixture
def hub(repositories: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyHub]:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(command, "require_loadable", require_loadable_here)
    with serve_hub(repositories) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        template = f"{server.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server
    assert not [path for path in server.asked if "escape" in path or ("llama/resolve" in path and "model-" in path)]


def add(models_dir: Path, what: str, **options: Any) -> Entry:
    return command.add(models_dir, what, say=lambda line: None, **options)


@pytest.mark.parametrize(
    ("what", "name", "path", "config"),
    [
        ("qwen/Qwen3-toy", "Qwen3-toy", "Qwen3-toy", "Qwen3-toy"),
        ("tongyi/toy/text_encoder", "toy-text-encoder", *PART),
        ("https://huggingface.co/tongyi/toy/tree/main/text_encoder", "toy-text-encoder", *PART),
        ("gguf/beside/Toy-Q8_0.gguf", "Toy-Q8_0", "Toy-Q8_0/Toy-Q8_0.gguf", "Toy-Q8_0/tokenizer"),
        ("gguf/beside", "beside", "beside/Toy-Q8_0.gguf", "beside/tokenizer"),
    ],
    ids=["a whole repository", "a part of a model", "the link of a part", "a file", "the only file"],
)
def test_a_text_encoder_comes_with_its_word_list(
    hub: ToyHub, zimage: Path, tmp_path: Path, what: str, name: str, path: str, config: str
) -> None:
    models_dir = tmp_path / "models"
    entry = add(models_dir, what, revision="v1")
    assert (entry.name, entry.path, entry.config, entry.kind) == (name, path, config, "text-encoder")
    assert (entry.revision, entry.licence) == (COMMIT, "apache-2.0")
    assert set(WORDS) <= entry.config_files.keys()
    assert not [each for each in (models_dir / name).rglob("*") if each.name in ("transformer", "vae")]
    assert [each.problem for each in verify(models_dir)] == [""]
    if what != "gguf/beside":
        return
    add(models_dir, str(zimage), name="paints", text_encoder=name)
    assert Catalog.open("paints", models_dir).default.text_encoder == models_dir / path


def test_a_file_without_a_word_list_takes_that_of_another_repository(hub: ToyHub, zimage: Path, tmp_path: Path) -> None:
    models_dir, file = tmp_path / "models", "comfy/split/split_files/text_encoders/qwen.safetensors"
    with pytest.raises(ConfigurationError, match="There is no word list for a text encoder at"):
        add(models_dir, file)
    shutil.rmtree(models_dir / "qwen")
    entry = add(models_dir, file, config="tongyi/toy")
    assert entry.config == f"qwen-words-{COMMIT[:12]}/tokenizer"
    assert not (models_dir / f"qwen-words-{COMMIT[:12]}" / "transformer").exists()
    here = save_text_encoder(zimage, tmp_path / "here.safetensors")
    assert add(models_dir, str(here), config="tongyi/toy").config == f"here-words-{COMMIT[:12]}/tokenizer"
    assert [each.problem for each in verify(models_dir)] == ["", ""]


def test_what_is_no_text_encoder_is_refused_before_it_is_fetched(hub: ToyHub, zimage: Path, tmp_path: Path) -> None:
    models_dir = tmp_path / "models"
    for what, options, said in (
        ("meta/llama", {}, "holds 2 files of weights"),
        ("some/half/text_encoder", {}, "has no text encoder or image encoder in text_encoder that is read here"),
        ("gguf/alone/Toy-Q8_0.gguf", {"config": "comfy/split"}, "comfy/split has no word list"),
        (str(zimage), {"config": "tongyi/toy"}, "word lists are fetched from the hub for text encoders only"),
    ):
        with pytest.raises(ConfigurationError, match=said) as refused:
            add(models_dir, what, **options)
        assert "\n" not in str(refused.value)
    assert not ModelRegistry.read(models_dir).entries


def test_a_link_to_another_folder_is_one_to_the_model() -> None:
    link = "https://huggingface.co/o/n/tree/main/"
    assert parse_link(f"{link}vae") == parse_link(link) == HubLink("o/n", "main")
    assert parse_link(f"{link}a/text_encoder/") == HubLink("o/n/a/text_encoder", "main")
