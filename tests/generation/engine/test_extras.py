"""Textual inversion, clip skip, single-file checkpoints and another VAE: each against the stock pipelines or itself."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from generation.engine.engine import Engine
from generation.errors import InvalidRequestError
from generation.jobs.protocol import ImageFailed
from generation.models.catalog import Model
from generation.models.failed_loads import FailedLoads
from generation.models.hashing import hash_files
from generation.models.layout import ModelRefusedError
from generation.requests.prompt_addons import Embedding, PromptAddon
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, as_array, ends, paint, run
from tests.generation.engine.test_exact import crowd
from tests.generation.engine.test_stock import MAX_LEVELS_APART, load_stock
from tests.generation.engine.toy import save_toy, save_toy_xl, toy_model
from tests.generation.engine.toy_checkpoint import save_checkpoint, save_checkpoint_2, save_checkpoint_xl, vae_tensors
from tests.generation.engine.toy_extras import an_embedding, an_extra, word


def an_engine(model: Model) -> Engine:
    return Engine([model], EngineSettings(num_threads=1))


@pytest.fixture(scope="module")
def styles(tmp_path_factory: pytest.TempPathFactory) -> tuple[PromptAddon, ...]:
    folder = tmp_path_factory.mktemp("words")
    return tuple(an_embedding(folder / f"style{seed}.safetensors", words=seed, seed=seed) for seed in (1, 3))


@pytest.fixture(scope="module")
def painter(toy_folder: Path, styles: tuple[PromptAddon, ...]) -> Engine:
    return an_engine(toy_model(toy_folder, embeddings=styles))


def stock_picture(
    stock: StableDiffusionPipeline, prompt: str, *, guidance: float = 3.0, **options: object
) -> np.ndarray:
    spec = a_spec(guidance=guidance)
    output = stock(
        prompt=prompt,
        negative_prompt=spec.negative,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance,
        width=spec.width_px,
        height=spec.height_px,
        generator=torch.Generator().manual_seed(spec.seed),
        output_type="np",
        **options,
    )
    return (output.images[0] * 255).round().astype(int)


def test_a_textual_inversion_matches_the_stock_pipeline(
    toy_folder: Path, painter: Engine, styles: tuple[PromptAddon, ...]
) -> None:
    for style in styles:
        stock = load_stock(toy_folder)
        vectors = load_file(style.path)["emb_params"]
        stock.load_textual_inversion({"style": vectors} if len(vectors) == 1 else vectors, token="<s>")
        expected = stock_picture(stock, "a <s> cat")
        spec = a_spec(prompt=f"a {style.name} cat", embeddings=(word(style),))
        assert np.abs(as_array(paint(painter, an_order(spec))) - expected).max() <= MAX_LEVELS_APART
        unlearned = as_array(paint(painter, an_order(a_spec(prompt=spec.prompt))))
        assert np.abs(unlearned - expected).max() > 5


def test_the_summary_of_xl_is_taken_where_the_prompt_ends(tmp_path: Path) -> None:
    """Real models say `eos_token_id: 2`, and then look for the highest id: a learned word must not be found there."""
    folder = save_toy_xl(tmp_path / "xl")
    style = an_embedding(tmp_path / "style.safetensors", is_xl=True)
    engine = an_engine(toy_model(folder, family="sdxl", embeddings=(style,)))
    family = engine._models.get("toy").family
    spec = a_spec(prompt="a style cat", embeddings=(word(style),))
    with torch.inference_mode():
        right = family.condition(spec, family.tokenize(spec))["text_embeds"]
        for encoder in family._encoders:  # type: ignore[attr-defined]
            encoder.config.eos_token_id = 2
            getattr(encoder, "text_model", encoder).eos_token_id = 2
        family._caches[1]._kept.clear()  # type: ignore[attr-defined]
        legacy = family.condition(spec, family.tokenize(spec))["text_embeds"]
    assert torch.equal(right, legacy)
    assert len(paint(engine, an_order(spec)).pixels) == 64 * 64 * 3


def test_textual_inversions_are_exact_in_a_batch_and_affect_no_other_image(
    toy_folder: Path, painter: Engine, styles: tuple[PromptAddon, ...]
) -> None:
    prompts = [("a style1 cat", (word(styles[0]),)), ("a style3 dog", (word(styles[1]),)), ("a style1 cat", ())]
    orders = [
        an_order(a_spec(prompt=prompt, embeddings=called, seed=seed, clip_skip=1 + seed), image_id=f"{seed}-{index}")
        for seed in range(2)
        for index, (prompt, called) in enumerate(prompts)
    ]
    crowded = crowd(painter, orders, random.Random(1))
    fresh = an_engine(toy_model(toy_folder, embeddings=styles))
    for order in orders:
        alone = paint(fresh, an_order(order.spec, replay=crowded[order.image_id].trace))
        assert alone.pixels == crowded[order.image_id].pixels


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: an_embedding(path, width=12), "was made for another kind of model"),
        (lambda path: an_embedding(path, is_xl=True), "was made for another kind of model"),
        (lambda path: an_embedding(path, words=65), "1 to 64 vectors"),
    ],
)
def test_a_word_of_another_model_is_refused(toy_folder: Path, tmp_path: Path, make: object, says: str) -> None:
    style = make(tmp_path / "style.safetensors")  # type: ignore[operator]
    engine = an_engine(toy_model(toy_folder, embeddings=(style,)))
    order = an_order(a_spec(embeddings=(word(style),)))
    end = ends(run(engine, order))[order.image_id]
    assert isinstance(end, ImageFailed) and end.error == "InvalidRequest" and says in end.message
    gone = an_order(a_spec(embeddings=(Embedding("gone", "0" * 64),)))
    end = ends(run(engine, gone))[gone.image_id]
    assert isinstance(end, ImageFailed) and "is not here" in end.message


def test_clip_skip_matches_the_stock_pipeline(toy_folder: Path, painter: Engine) -> None:
    stock = load_stock(toy_folder)
    # The pipeline looks for a level that transformers has taken out of this class, and fails without.
    stock.text_encoder.__dict__["text_model"] = stock.text_encoder
    # And it leaves the negative prompt at the last layer, where the web UI skips for both; so without guidance.
    expected = stock_picture(stock, "a red cat", guidance=1.0, clip_skip=1)
    ours = as_array(paint(painter, an_order(a_spec(guidance=1.0, clip_skip=2))))
    assert np.abs(ours - expected).max() <= MAX_LEVELS_APART
    assert np.abs(ours - as_array(paint(painter, an_order(a_spec(guidance=1.0))))).max() > MAX_LEVELS_APART
    end = ends(run(painter, an_order(a_spec(clip_skip=3))))["a-0"]
    assert isinstance(end, ImageFailed) and "Clip skip must be at most 2 with this model" in end.message


def test_a_single_file_gives_the_same_pixels_as_its_folder(toy_folder: Path, painter: Engine, tmp_path: Path) -> None:
    file = save_checkpoint(toy_folder, tmp_path / "toy.safetensors")
    single = toy_model(file, config=without_weights(toy_folder, tmp_path / "config"))
    assert paint(an_engine(single), an_order()).pixels == paint(painter, an_order()).pixels


@pytest.mark.parametrize(
    ("family", "save", "save_as_file"),
    [
        ("sd", partial(save_toy, prediction_type="v_prediction"), save_checkpoint_2),
        ("sdxl", save_toy_xl, save_checkpoint_xl),
    ],
    ids=["Stable Diffusion 2", "XL"],
)
def test_so_does_one_of_another_family(
    family: str, save: Callable[[Path], Path], save_as_file: Callable[[Path, Path], Path], tmp_path: Path
) -> None:
    folder = save(tmp_path / "toy")
    config = without_weights(folder, tmp_path / "config")
    single = toy_model(save_as_file(folder, tmp_path / "toy.safetensors"), family=family, config=config)
    expected = paint(an_engine(toy_model(folder, family=family)), an_order()).pixels
    assert paint(an_engine(single), an_order()).pixels == expected


def without_weights(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.safetensors")))


def test_another_vae_is_used_and_counts_as_another_model(toy_folder: Path, tmp_path: Path) -> None:
    other = save_toy(tmp_path / "other", seed=1)
    file = tmp_path / "vae.safetensors"
    save_file(vae_tensors(other), file)
    from_folder = paint(an_engine(toy_model(toy_folder, vae=other / "vae")), an_order())
    from_file = paint(an_engine(toy_model(toy_folder, vae=file)), an_order())
    assert from_folder.pixels == from_file.pixels != paint(an_engine(toy_model(toy_folder)), an_order()).pixels
    assert hash_files(toy_folder, vae=file) != hash_files(toy_folder)


def test_weights_that_do_not_fit_the_settings_are_refused(toy_folder: Path, tmp_path: Path) -> None:
    file = save_checkpoint(toy_folder, tmp_path / "toy.safetensors")
    tensors = load_file(file)
    for name in ("model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.decoder.conv_in.weight"):
        save_file({each: tensor for each, tensor in tensors.items() if each != name}, file)
        with pytest.raises(ModelRefusedError, match=r"toy\.safetensors"):
            an_engine(toy_model(file, config=toy_folder))
    save_file({**tensors, "first_stage_model.decoder.conv_in.bias": torch.full((8,), float("inf"))}, file)
    with pytest.raises(ModelRefusedError, match="is not finite"):
        an_engine(toy_model(file, config=toy_folder))


def test_a_model_is_checked_when_it_is_first_loaded(toy_folder: Path, tmp_path: Path) -> None:
    """Hashing all models at every start would take minutes."""
    same, changed = save_toy(tmp_path / "same", seed=1), save_toy(tmp_path / "changed", seed=2)
    models = [
        toy_model(toy_folder),
        toy_model(same, name="same", sha256=hash_files(same)),
        toy_model(changed, name="changed", sha256="0" * 64),
    ]
    settings = EngineSettings(num_threads=1, failed_loads=str(tmp_path / "failed.json"))
    engine = Engine(models, settings)
    assert engine.model_sha256["same"] == hash_files(same)
    orders = {name: an_order(a_spec(model=name), image_id=name) for name in ("toy", "same", "changed")}
    found = ends(run(engine, *orders.values()))
    assert found["toy"].pixels and found["same"].pixels
    assert found["changed"].error == "ModelUnusable"
    assert "has changed since it was added" in FailedLoads(settings.failed_loads).of(tuple(models))["changed"]


def test_a_model_that_has_changed_since_it_was_added_is_refused(toy_folder: Path) -> None:
    with pytest.raises(ModelRefusedError, match="has changed since it was added"):
        an_engine(toy_model(toy_folder, sha256="0" * 64))
    an_engine(toy_model(toy_folder, sha256=hash_files(toy_folder))).close()


def test_a_link_or_another_format_is_no_checkpoint(toy_folder: Path, tmp_path: Path) -> None:
    file = save_checkpoint(toy_folder, tmp_path / "toy.safetensors")
    link, pickle = tmp_path / "link.safetensors", tmp_path / "toy.ckpt"
    link.symlink_to(file)
    shutil.copy(file, pickle)
    for path in (link, pickle):
        with pytest.raises(ModelRefusedError):
            an_engine(toy_model(path, config=toy_folder))


def test_an_extra_names_its_width(styles: tuple[PromptAddon, ...]) -> None:
    assert styles[0].context_width == an_extra(styles[0].path).context_width == 16
    with pytest.raises(InvalidRequestError):
        Embedding("../x", "0" * 64)
