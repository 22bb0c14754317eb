"""Defaults of a model: guessed when it is added, set by the operator, and filled into requests that leave them open."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from cli import models
from cli.model_defaults import set_defaults
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog, Model
from generation.models.registry import REGISTER, ModelRegistry
from generation.requests.defaults import DefaultOverrides
from generation.requests.prompt_addons import read_prompts
from generation.requests.spec import ImageSpec
from generation.requests.style import Style
from generation.requests.unread_syntax import list_prompt_notes
from tests.generation.engine.toy import save_toy
from tests.generation.engine.toy_extras import kohya_lora
from tests.generation.engine.toy_flow import save_toy_sd3

KIND = {"steps": 25, "guidance": 7.0, "sampler": "DPM++ 2M Karras", "native_px": 512}
LCM = {"steps": 4, "guidance": 1.0, "sampler": "LCM"}
LIGHTNING = {"steps": 4, "guidance": 1.0, "sampler": "Euler SGM Uniform"}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(autouse=True)
def load_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a model loads is tested elsewhere."""
    monkeypatch.setattr(models, "require_loadable", lambda model: None)


def add(folder: Path, path: Path, **options: Any) -> str:
    said: list[str] = []
    models.add(folder, str(path), say=said.append, **options)
    return "\n".join(said)


def change(folder: Path, name: str, **options: Any) -> str:
    said: list[str] = []
    set_defaults(folder, name, say=said.append, **options)
    return "\n".join(said)


def defaults_of(folder: Path, name: str) -> dict[str, Any]:
    own = Catalog.open("paintbox", folder).get(name).defaults
    return {
        key: value for key in own.__slots__ if (value := getattr(own, key)) not in ("", 0.0, 1) or key == "guidance"
    }


def ask(model: Model, prompt: str, negative: str = "", **options: Any) -> ImageSpec:
    words = model.defaults.complete(prompt, negative, options.get("guidance"))
    return ImageSpec.for_model(model, **read_prompts(model, *words)._asdict(), seed=1, **options)


def test_a_guess_is_kept_and_said_when_a_model_is_added(toy: Path, tmp_path: Path) -> None:
    said = add(tmp_path, toy, name="photo-lightning-4step")
    assert "painted with 4 steps, guidance 1, Euler SGM Uniform, 512 px: its name says Lightning, 4 steps." in said
    assert "models set photo-lightning-4step" in said and "negative prompt has no effect" in said
    assert defaults_of(tmp_path, "photo-lightning-4step") == KIND | LIGHTNING


def test_a_model_of_which_nothing_is_said_has_the_defaults_of_its_kind(toy: Path, tmp_path: Path) -> None:
    said = add(tmp_path, toy, name="photo")
    assert "25 steps, guidance 7, DPM++ 2M Karras, 512 px: as models of its kind usually are" in said
    assert defaults_of(tmp_path, "photo") == KIND


def test_its_card_tells_too(toy: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(toy, tmp_path / "photo"))
    (folder / "README.md").write_text("---\ntags: [lcm]\n---\n# Photo\nUse clip skip 2.")
    said = add(tmp_path / "models", folder)
    assert "its card says LCM, and its author says clip skip 2" in said
    assert defaults_of(tmp_path / "models", "photo") == KIND | {
        "steps": 6,
        "guidance": 1.5,
        "sampler": "LCM",
        "clip_skip": 2,
    }


def test_set_changes_what_is_given_and_reset_guesses_again(toy: Path, tmp_path: Path) -> None:
    add(tmp_path, toy, name="other")
    add(tmp_path, toy, name="photo-lightning")
    said = change(tmp_path, "photo-lightning", steps=6, native_px=768, clip_skip=2, prefix="cinematic")
    assert "6 steps, guidance 1, Euler SGM Uniform, 768 px, clip skip 2: as you set it" in said
    assert "Every prompt becomes: cinematic, …." in said
    changed = KIND | LIGHTNING | {"steps": 6, "native_px": 768, "clip_skip": 2, "prefix": "cinematic"}
    assert defaults_of(tmp_path, "photo-lightning") == changed
    change(tmp_path, "photo-lightning", guidance=0.0)
    assert defaults_of(tmp_path, "photo-lightning") == changed | {"guidance": 0.0}
    add(tmp_path, toy, name="photo-lightning", replaces=True)
    assert defaults_of(tmp_path, "photo-lightning") == changed | {"guidance": 0.0}, "adding again forgot the choice"
    assert "as it was guessed" in change(tmp_path, "photo-lightning", resets=True)
    assert defaults_of(tmp_path, "photo-lightning") == KIND | LIGHTNING
    change(tmp_path, "other", steps=9)
    assert [entry.name for entry in ModelRegistry.read(tmp_path).entries] == ["other", "photo-lightning"]


def test_a_lora_for_few_steps_is_recognised_told_and_changed(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "require_fitting", lambda lora, folders: None)
    add(tmp_path, toy, name="photo")
    kohya_lora(file := tmp_path / "my-lcm-lora.safetensors")
    said = add(tmp_path, file)
    assert "is painted with steps 4, guidance 1, LCM: its name says LCM." in said
    assert Catalog.open("paintbox", tmp_path).default.loras[-1].defaults.given == LCM
    said = change(tmp_path, "my-lcm-lora", steps=6, sampler="TCD")
    assert "painted with steps 6, guidance 1, TCD: as you set it" in said
    assert Catalog.open("paintbox", tmp_path).default.loras[-1].defaults.given == LCM | {"steps": 6, "sampler": "TCD"}
    for wrong, problem in (({"steps": 60}, "Steps with TCD"), ({"native_px": 512}, "steps, guidance and sampler")):
        with pytest.raises(ConfigurationError, match=problem):
            change(tmp_path, "my-lcm-lora", **wrong)
    assert "steps 4" in change(tmp_path, "my-lcm-lora", resets=True)
    assert "is painted" not in add(tmp_path, file.rename(tmp_path / "ink.safetensors"))


def test_a_lightning_of_one_step_is_refused(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"predicts the picture itself \(x0\).*2, 4 or 8"):
        add(tmp_path, toy, name="sdxl_lightning_1step_x0")


def test_a_request_takes_the_rescale_of_its_model_and_one_without_writes_none(toy: Path, tmp_path: Path) -> None:
    add(tmp_path, toy, name="vivid")
    assert b"rescale" not in msgspec.json.encode(ask(Catalog.open("paintbox", tmp_path).get("vivid"), "a cat"))
    assert "guidance 7 rescaled by 0.7" in change(tmp_path, "vivid", rescale=0.7)
    assert ask(Catalog.open("paintbox", tmp_path).get("vivid"), "a cat").rescale == 0.7


def test_a_step_cache_is_a_tier_that_a_model_names(toy: Path, tmp_path: Path) -> None:
    add(tmp_path, toy, name="photo-fast")
    assert b"cache" not in msgspec.json.encode(ask(Catalog.open("paintbox", tmp_path).get("photo-fast"), "a cat"))
    assert "512 px, step cache 3" in change(tmp_path, "photo-fast", cache=3)
    assert ask(Catalog.open("paintbox", tmp_path).get("photo-fast"), "a cat").cache == 3
    change(tmp_path, "photo-fast", cache=1)
    assert ask(Catalog.open("paintbox", tmp_path).get("photo-fast"), "a cat").cache is UNSET
    add(tmp_path, save_toy_sd3(tmp_path / "sd3"), name="large-fast")
    assert "step cache 2" in change(tmp_path, "large-fast", cache=2), "a transformer has one, too"


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("photo", {"cache": 11}, "The step cache must be"),
        ("photo", {}, "Nothing to set for photo"),
        ("gone", {"steps": 3}, "Nothing called gone was added"),
        ("paintbox", {"steps": 3}, "Nothing called paintbox was added"),
        ("soft", {"steps": 3}, "soft is a VAE, and only models and LoRA have defaults"),
        ("photo", {"steps": 0}, "Steps must be a whole number"),
        ("photo", {"steps": 1000}, "Steps must be a whole number"),
        ("photo", {"guidance": float("nan")}, "Guidance must be a number"),
        ("photo", {"sampler": "euler"}, "no sampler named “euler”"),
        ("photo", {"native_px": 513}, "steps of 8"),
        ("photo", {"rescale": 1.5}, "Guidance rescale must be a number from 0 to 1"),
        ("photo", {"clip_skip": 13}, "Clip skip must be"),
        ("photo", {"negative": "a" * 1501}, "The negative prompt may be at most"),
        ("photo", {"suffix": "good <lora:ink:1>"}, "cannot call a LoRA"),
        ("photo", {"prefix": "a" * 1000, "suffix": "b" * 1000}, "The prompt may be at most"),
        ("photo", {"sampler": "LCM", "steps": 60}, "Steps with LCM must be"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    toy: Path, tmp_path: Path, name: str, options: dict[str, Any], problem: str
) -> None:
    add(tmp_path, toy, name="photo")
    add(tmp_path, toy / "vae", name="soft")
    before = (tmp_path / REGISTER).read_bytes()
    with pytest.raises(ConfigurationError, match=problem):
        change(tmp_path, name, **options)
    assert (tmp_path / REGISTER).read_bytes() == before


def test_a_register_of_an_older_release_is_read_and_a_wrong_one_is_named(toy: Path, tmp_path: Path) -> None:
    add(tmp_path, toy, name="photo-lightning")
    register = msgspec.json.decode((tmp_path / REGISTER).read_bytes())
    for key in ("guessed", "chosen"):
        register["entries"][0].pop(key, None)
    (tmp_path / REGISTER).write_bytes(msgspec.json.encode(register))
    assert defaults_of(tmp_path, "photo-lightning") == KIND
    register["entries"][0]["chosen"] = {"steps": 9999}
    (tmp_path / REGISTER).write_bytes(msgspec.json.encode(register))
    with pytest.raises(ConfigurationError, match=r"cannot be read \(Steps must be"):
        ModelRegistry.read(tmp_path)


@pytest.fixture
def model(toy: Path, tmp_path: Path) -> Model:
    add(tmp_path, toy, name="photo")
    words: dict[str, Any] = {"negative": "blurry", "prefix": "masterpiece", "suffix": "best quality"}
    return Catalog.open("paintbox", tmp_path).get("photo").with_defaults(DefaultOverrides(**words, clip_skip=2))


def test_a_request_holds_the_words_and_the_clip_skip_of_its_model(model: Model) -> None:
    spec = ask(model, "a cat")
    assert (spec.prompt, spec.negative, spec.clip_skip) == ("masterpiece, a cat, best quality", "blurry", 2)
    assert ask(model, "a cat", clip_skip=1).clip_skip == 1
    assert ask(model, "a cat", "green").negative == "green"
    assert ask(model, "Best Quality photo of a cat").prompt == "masterpiece, Best Quality photo of a cat"
    assert ask(model, spec.prompt).prompt == spec.prompt


def test_a_minus_sign_asks_for_no_negative_prompt_at_all(model: Model) -> None:
    assert ask(model, "a cat", "-").negative == ""
    assert ask(model, "a cat", "-", guidance=1.0).negative == ""
    assert ask(model, "a cat", "- blurry").negative == "- blurry"
    style = Style(guild_id=1, name="dull", prompt="dull", negative="bright")
    words = style.around("a cat", "-")
    assert ask(model, *words).negative == ""
    assert ask(model, *style.around("a cat", "")).negative == "bright"


def test_a_list_shows_what_each_model_is_painted_with(toy: Path, tmp_path: Path) -> None:
    add(tmp_path, toy, name="photo-lightning-4step")
    change(tmp_path, "photo-lightning-4step", negative="blurry", suffix="best quality", clip_skip=2)
    lines = list(models.list_models(tmp_path))
    below = lines[1 + next(place for place, line in enumerate(lines) if "photo-lightning-4step" in line)].strip()
    words = "negative: blurry; suffix: best quality"
    assert below == f"4 steps, guidance 1, Euler SGM Uniform, 512 px, clip skip 2; {words}"
    change(tmp_path, "photo-lightning-4step", negative="-")
    assert not any("negative: " in line for line in models.list_models(tmp_path))


def test_a_negative_prompt_that_cannot_work_is_not_added_and_a_typed_one_is_noted(model: Model) -> None:
    assert ask(model, "a cat", guidance=1.0).negative == ""
    typed = ask(model, "a cat", "green", guidance=1.0)
    assert typed.negative == "green"
    assert [str(note) for note in list_prompt_notes(typed)] == [
        "The negative prompt has no effect: it needs a guidance above 1, and this request has 1."
    ]
    assert list_prompt_notes(ask(model, "a cat", "green")) == ()
