"""LoRA: the same pixels as stock diffusers with the same file, exact in a batch, and no effect on other images."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from generation.engine.engine import Engine
from generation.jobs.protocol import Finished, ImageFailed
from generation.requests.prompt_addons import Adapter, PromptAddon
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, as_array, ends, paint, run
from tests.generation.engine.test_exact import crowd
from tests.generation.engine.test_sdxl import stock_picture as stock_picture_xl
from tests.generation.engine.test_stock import MAX_LEVELS_APART, load_stock, stock_picture
from tests.generation.engine.toy import save_toy_xl, toy_model
from tests.generation.engine.toy_extras import (
    SECOND_TEXT_LAYERS,
    TEXT_LAYERS,
    UNET_LAYERS,
    WIDE,
    an_extra,
    called,
    kohya_lora,
    peft_lora,
)

pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning")  # in the stock pipelines
MakeLora = Callable[[Path], PromptAddon]


@pytest.fixture(scope="module")
def loras(tmp_path_factory: pytest.TempPathFactory) -> tuple[PromptAddon, ...]:
    folder = tmp_path_factory.mktemp("loras")
    kohya = [kohya_lora(folder / f"kohya{seed}.safetensors", seed=seed, rank=2 + seed) for seed in range(8)]
    return (*kohya, peft_lora(folder / "peft.safetensors", seed=9), peft_lora(folder / "alpha.safetensors", alpha=6.0))


@pytest.fixture(scope="module")
def painter(toy_folder: Path, loras: tuple[PromptAddon, ...]) -> Engine:
    return Engine([toy_model(toy_folder, loras=loras)], EngineSettings(num_threads=1))


def an_engine(toy_folder: Path, *loras: PromptAddon) -> Engine:
    return Engine([toy_model(toy_folder, loras=loras)], EngineSettings(num_threads=1))


def with_stock(stock: StableDiffusionPipeline, loras: list[tuple[PromptAddon, float]]) -> StableDiffusionPipeline:
    for index, (lora, _) in enumerate(loras):
        stock.load_lora_weights(lora.path.parent, weight_name=lora.path.name, adapter_name=f"a{index}")
    stock.set_adapters([f"a{index}" for index in range(len(loras))], [weight for _, weight in loras])
    return stock


def test_one_or_several_loras_match_the_stock_pipeline(
    toy_folder: Path, painter: Engine, loras: tuple[PromptAddon, ...]
) -> None:
    kohya, peft, alpha = loras[0], loras[8], loras[9]
    for chosen in ([(kohya, 1.0)], [(peft, 0.5)], [(alpha, 0.7)], [(peft, 0.6), (kohya, -0.4), (alpha, 1.2)]):
        spec = a_spec(adapters=tuple(called(*each) for each in chosen))
        stock = stock_picture(with_stock(load_stock(toy_folder), chosen), spec)
        ours = as_array(paint(painter, an_order(spec)))
        assert np.abs(ours - stock).max() <= MAX_LEVELS_APART, chosen
        plain = as_array(paint(painter, an_order(a_spec())))
        assert np.abs(ours - plain).max() > 5, "the control: a LoRA that does nothing would agree with anything"


def test_both_text_encoders_of_xl_take_part(tmp_path: Path) -> None:
    folder = save_toy_xl(tmp_path / "xl")
    text = {"lora_te1": TEXT_LAYERS, "lora_te2": SECOND_TEXT_LAYERS}
    lora = kohya_lora(tmp_path / "xl.safetensors", unet=WIDE, text=text, seed=4)
    engine = Engine([toy_model(folder, family="sdxl", loras=(lora,))], EngineSettings(num_threads=1))
    spec = a_spec(adapters=(called(lora, 0.8),))
    from diffusers import StableDiffusionXLPipeline

    stock = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)
    expected = stock_picture_xl(with_stock(stock, [(lora, 0.8)]), spec)
    assert np.abs(as_array(paint(engine, an_order(spec))) - expected).max() <= MAX_LEVELS_APART


def test_a_picture_without_is_the_same_before_and_after(toy_folder: Path, loras: tuple[PromptAddon, ...]) -> None:
    engine = an_engine(toy_folder, *loras)
    before = paint(engine, an_order())
    paint(engine, an_order(a_spec(adapters=(called(loras[0], 2.0), called(loras[8])))))
    assert paint(engine, an_order()).pixels == before.pixels


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.long)])
def test_in_a_crowd_of_many_every_picture_is_exact(
    toy_folder: Path, loras: tuple[PromptAddon, ...], dtype: str
) -> None:
    """Some with, some without, other weights, another order: replayed alone by an engine that saw nothing of it."""
    engine = Engine([toy_model(toy_folder, loras=loras)], EngineSettings(num_threads=1, dtype=dtype))
    fresh = Engine([toy_model(toy_folder, loras=loras)], EngineSettings(num_threads=1, dtype=dtype))
    a, b = called(loras[0], 0.8), called(loras[8], 0.5)
    rng = random.Random(3)
    choices: list[tuple[Adapter, ...]] = [(), (a,), (called(loras[0], 0.3),), (a, b), (b, a)]
    orders = [
        an_order(
            a_spec(adapters=choice, seed=seed, steps=3 + seed % 3, sampler=rng.choice(["Euler a", "DPM++ 2M SDE"])),
            image_id=f"{seed}-{index}",
        )
        for seed in range(2)
        for index, choice in enumerate(choices)
    ]
    crowded = crowd(engine, orders, rng)
    for order in orders:
        alone = paint(fresh, an_order(order.spec, replay=crowded[order.image_id].trace))
        assert alone.pixels == crowded[order.image_id].pixels, order.spec
    assert len({end.pixels for end in crowded.values()}) > len(orders) // 2


def test_the_oldest_makes_room_and_comes_back_the_same(painter: Engine, loras: tuple[PromptAddon, ...]) -> None:
    first = paint(painter, an_order(a_spec(adapters=(called(loras[0]),))))
    for lora in loras[1:]:
        paint(painter, an_order(a_spec(adapters=(called(lora),), steps=1)))
    assert len(painter._models.get("toy").family._adapters._resident) < len(loras)  # type: ignore[attr-defined]
    assert paint(painter, an_order(a_spec(adapters=(called(loras[0]),)))).pixels == first.pixels


def old_processor(name: str) -> str:
    """Return LoRA keys as diffusers named them before 0.22: only the four matrices of an attention have such names."""
    for new, old in ((".to_q.", ".processor.to_q_lora."), (".to_out.0.", ".processor.to_out_lora.")):
        name = name.replace(new, old)
    for new, old in (("q_proj.", "to_q_lora."), ("out_proj.", "to_out_lora.")):
        name = name.replace(new, old)
    return name.replace("lora_A", "down").replace("lora_B", "up")


ATTENTIONS = ("attn1.to_q", "attn1.to_out.0", "self_attn.q_proj", "self_attn.out_proj")
SPELLINGS: dict[str, tuple[Callable[[str], str], tuple[str, ...]]] = {
    "PEFT": (lambda name: f"base_model.model.{name}", ("",)),
    "PEFT, the network alone": (lambda name: name.replace("unet.", "base_model.model."), ("unet.",)),
    "PEFT, the text encoder alone": (
        lambda name: name.replace("text_encoder.text_model.", "base_model.model.text_model."),
        ("text_encoder.",),
    ),
    "diffusers before 0.22": (old_processor, ATTENTIONS),
    "diffusers before 0.17": (
        lambda name: old_processor(name).removeprefix("unet."),
        ("attn1.to_q", "attn1.to_out.0"),
    ),
    "diffusers 0.22": (
        lambda name: name.replace("lora_A", "lora.down").replace("lora_B", "lora.up"),
        ("unet.",),
    ),
    "words beside it": (lambda name: name, ("",)),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_lora_gives_the_same_pixels_under_every_key_naming(toy_folder: Path, tmp_path: Path, spelling: str) -> None:
    """Every one of these is added; each was loaded under no name or a wrong one."""
    rename, parts = SPELLINGS[spelling]
    peft_lora(tmp_path / "all.safetensors")
    tensors = load_file(tmp_path / "all.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if any(part in name for part in parts)}
    assert kept
    beside = {"bundle_emb.x.string_to_param.*": torch.ones(2, 16)} if spelling == "words beside it" else {}
    save_file(kept, tmp_path / "plain.safetensors")
    save_file({rename(name): tensor for name, tensor in kept.items()} | beside, tmp_path / "other.safetensors")
    plain, other = an_extra(tmp_path / "plain.safetensors"), an_extra(tmp_path / "other.safetensors")
    engine = an_engine(toy_folder, plain, other)
    first, second = (paint(engine, an_order(a_spec(adapters=(called(each),)))) for each in (plain, other))
    assert first.pixels == second.pixels
    assert first.pixels != paint(engine, an_order(a_spec())).pixels


def wrong_base(path: Path) -> PromptAddon:
    return kohya_lora(path, unet=WIDE)


def wrong_depth(path: Path) -> PromptAddon:
    return kohya_lora(path, unet={"down_blocks.7.attentions.0.proj_in": (16, 16)}, text={})


def dora(path: Path) -> PromptAddon:
    lora = kohya_lora(path)
    tensors = load_file(path)
    name = next(iter(tensors)).split(".")[0]
    save_file({**tensors, f"{name}.dora_scale": torch.ones(17, 1)}, path)
    return PromptAddon(name=lora.name, path=path, sha256=_hash(path))


def loha(path: Path) -> PromptAddon:
    save_file({"lora_unet_mid_block_attentions_0_proj_in.hada_w1_a": torch.ones(2, 2)}, path)
    return PromptAddon(name=path.stem, path=path, sha256=_hash(path))


def not_a_number(path: Path) -> PromptAddon:
    kohya_lora(path, unet={**UNET_LAYERS, next(iter(UNET_LAYERS)): (16, 16)})
    tensors = load_file(path)
    next(iter(tensors.values())).fill_(float("nan"))
    save_file(tensors, path)
    return PromptAddon(name=path.stem, path=path, sha256=_hash(path))


def changed(path: Path) -> PromptAddon:
    lora = kohya_lora(path)
    kohya_lora(path, seed=5)
    return lora


def pickle_in_disguise(path: Path) -> PromptAddon:
    path.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    return PromptAddon(name=path.stem, path=path, sha256=_hash(path))


def misfit(path: Path) -> PromptAddon:
    lora = kohya_lora(path)
    tensors = load_file(path)
    name = next(name for name in tensors if name.endswith("lora_up.weight"))
    save_file({**tensors, name: torch.ones(tensors[name].shape[0], 7)}, path)
    return PromptAddon(name=lora.name, path=path, sha256=_hash(path))


def foreign_settings(path: Path) -> PromptAddon:
    peft_lora(path)
    save_file(load_file(path), path, metadata={"lora_adapter_metadata": '{"unet.use_dora": true}'})
    return PromptAddon(name=path.stem, path=path, sha256=_hash(path))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (wrong_base, "“x” cannot be used: it was made for another kind of model"),
        (wrong_depth, "made for another kind of model, one that has a layer unet.down_blocks_7"),
        (dora, "lengths that do not fit"),
        (loha, "lacks hada_w1_b"),
        (not_a_number, "not finite"),
        (changed, "has changed since it was added"),
        (pickle_in_disguise, "not a safetensors file"),
        (misfit, "do not fit each other"),
        (foreign_settings, "none of a DoRA's magnitudes"),
    ],
)
def test_an_unusable_lora_fails_only_its_picture(toy_folder: Path, tmp_path: Path, make: MakeLora, says: str) -> None:
    bad, good = make(tmp_path / "x.safetensors"), kohya_lora(tmp_path / "good.safetensors", seed=2)
    engine = an_engine(toy_folder, bad, good)
    fine = an_order(a_spec(adapters=(called(good),)), image_id="fine-0")
    refused = an_order(a_spec(adapters=(called(good), called(bad))), image_id="refused-0")
    end = ends(run(engine, fine, refused))
    broken = end["refused-0"]
    assert isinstance(broken, ImageFailed) and broken.error == "InvalidRequest" and says in broken.message
    alone = paint(an_engine(toy_folder, good), fine)
    assert isinstance(end["fine-0"], Finished) and end["fine-0"].pixels == alone.pixels


def test_a_refused_lora_leaves_no_other_lora_active(toy_folder: Path, tmp_path: Path) -> None:
    """The first is applied before the second turns out to be for another model. The next image gets its own."""
    good, other = (kohya_lora(tmp_path / f"{seed}.safetensors", seed=seed) for seed in (2, 5))
    bad = wrong_base(tmp_path / "bad.safetensors")
    refused = an_order(a_spec(adapters=(called(good), called(bad))), image_id="refused-0")
    for chosen in ((), (called(other),)):
        engine = an_engine(toy_folder, good, bad, other)
        before = paint(engine, an_order(a_spec(adapters=chosen)))
        assert isinstance(ends(run(engine, refused))["refused-0"], ImageFailed)
        assert paint(engine, an_order(a_spec(adapters=chosen))).pixels == before.pixels
        assert paint(engine, an_order(a_spec(adapters=(*chosen, called(good))))).pixels != before.pixels


def test_a_missing_lora_is_refused(painter: Engine) -> None:
    order = an_order(a_spec(adapters=(Adapter("gone", "0" * 64, 1.0),)))
    end = ends(run(painter, order))[order.image_id]
    assert isinstance(end, ImageFailed) and "is not here" in end.message


def _hash(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()
