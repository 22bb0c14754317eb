"""The lessons at toy size: each network is built, takes a few steps, and its loss falls."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPTokenizer

from training.paintbox import captions, layout, tokens
from training.paintbox.captions import plainly
from training.paintbox.draw import draw
from training.paintbox.lessons import lora, safety, sharpen, unet, upscaler, vae
from training.paintbox.lessons.loop import Plan, chance, restore
from training.paintbox.lessons.pictures import from_bytes, pool, scenes, to_pictures, to_tensor
from training.paintbox.measures import psnr_db, reconstruction_db
from training.paintbox.things import THINGS
from training.paintbox.world import simple

pytestmark = pytest.mark.long  # of the training of the built-in model, which no user runs


def toy_vae() -> torch.nn.Module:
    torch.manual_seed(0)
    return vae.build((16, 16, 16, 16)).eval()


def losses(folder: Path, name: str) -> list[float]:
    return [float(row.split("\t")[1]) for row in (folder / f"{name}.tsv").read_text().splitlines()]


def test_pictures_survive_the_way_to_tensors_and_back() -> None:
    pictures = [draw(scene) for scene in scenes(3, seed=1)]
    assert [p.tobytes() for p in to_pictures(to_tensor(pictures))] == [p.tobytes() for p in pictures]


def test_the_vae_lesson_learns(tmp_path: Path) -> None:
    plan = Plan("vae", 60, 1e-3, tmp_path)
    trained = vae.teach(plan, vae.VaeData(pool_size=12, batch=2, crop_px=32, widths=(16, 16, 16, 16)))
    curve = losses(tmp_path, "vae")
    assert curve[-1] < 0.9 * curve[0]
    assert trained.decode(trained.encode(torch.zeros(1, 3, 64, 64)).latent_dist.mean).sample.shape == (1, 3, 64, 64)


def test_standard_latents_decode_to_the_same_pictures() -> None:
    network, drawings = toy_vae(), pool(24, seed=0, side_px=64)
    pictures = [draw(scene, 64) for scene in scenes(4, seed=5)]
    before = reconstruction_db(network, pictures)
    vae.standardise(network, drawings)
    assert reconstruction_db(network, pictures) == pytest.approx(before, abs=0.01)
    assert vae.latent_scale(network, drawings) == pytest.approx(1, abs=0.01)


def test_the_sharpening_lesson_improves_the_worst_and_keeps_the_latents(tmp_path: Path) -> None:
    shown, moved = pool(12, seed=2, side_px=32), []
    pictures = to_pictures(from_bytes(shown))
    for pull in (0.0, 20.0):
        network = toy_vae()
        before, worst = vae.encode(network, shown), min(reconstruction_db(network, pictures))
        plan = Plan("sharpen", 60, 1e-3, tmp_path / str(pull))
        sharpen.teach(plan, sharpen.SharpenData(pool_size=12, batch=2, side_px=32, pull=pull), vae=network)
        assert min(reconstruction_db(network, pictures)) > worst + 1
        moved.append(float((vae.encode(network, shown) - before).square().mean()))
        encode: Any = network.encode
        assert encode(from_bytes(shown)).latent_dist.std.detach().numpy() == pytest.approx(0.03, rel=0.1)
        restored = sharpen.Sharpened(toy_vae(), torch.zeros(12))
        assert restore(plan, restored) == 60 and (restored.errors > 0).all()
    assert moved[1] < 0.2 * moved[0]


def test_the_worst_pictures_are_shown_most_and_none_is_left_out() -> None:
    errors = torch.tensor([1.0, 1.0, 9.0, 0.0])
    shown = torch.cat([sharpen.choose(errors, 1, chance(0, step)) for step in range(300)]).bincount(minlength=4)
    assert shown[2] > 1.5 * (shown.sum() - shown[2]) and shown[3] > 0


def test_times_are_spread_over_the_whole_range_most_where_things_are_settled() -> None:
    times = unet.spread_times(100, 1000, chance(0, 0))
    assert times.min() < 50
    assert times.max() >= 980
    assert ((times >= 400) & (times < 900)).sum() == pytest.approx(72, abs=1)


def test_upscaler_crops_match_and_contain_edges() -> None:
    data = upscaler.UpscalerData(pool_size=4, batch=64, crop_px=16, side_px=128)
    pairs = upscaler.pairs(data, 1, data.side_px)
    given, wanted = upscaler.crops(pairs, data, chance(0, 3))
    assert given.shape == (64, 3, 16, 16) and wanted.shape == (64, 3, 32, 32)
    # The middle of each crop, where neither half knows more than the other of what lies outside.
    halved = torch.nn.functional.avg_pool2d(wanted, 2)
    assert (halved - given)[..., 4:-4, 4:-4].abs().mean() < 0.03
    apart = (given[0] - given[1:]).abs().mean((1, 2, 3))
    assert apart.min() > 0 and len(set(apart.tolist())) > 32
    anywhere = torch.stack([pairs.large[index % 4, :32, :32].float() for index in range(4)])
    assert wanted.flatten(2).std(2).mean() > 2 * anywhere.flatten(1, 2).std(1).mean() / 255


def test_the_safety_lesson_writes_a_folder_that_loads_whole(tmp_path: Path) -> None:
    plan = Plan("safety", 20, 1e-3, tmp_path)
    checker = safety.teach(plan, safety.SafetyData(pool_size=32, decoded_size=32, batch=8, side_px=64), vae=toy_vae())
    safety.write(tmp_path / "checker", checker)
    again, info = StableDiffusionSafetyChecker.from_pretrained(tmp_path / "checker", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert again.config.atelier_stand_in is True
    pixels = safety.preprocess([draw(scene, 64) for scene in scenes(4, seed=2)])
    with torch.no_grad():
        assert torch.allclose(safety.likeness(checker, pixels), safety.likeness(again.eval(), pixels))


def test_examples_of_the_checker_are_half_spiders() -> None:
    for through in (None, toy_vae()):
        pixels, truth = safety.examples(32, 0, through, 64)
        assert pixels.shape == (32, 3, 64, 64)
        assert truth.mean() == pytest.approx(0.5, abs=0.15)


def test_a_moved_example_keeps_its_size_and_repeats_its_edge() -> None:
    pixels = torch.arange(64.0).expand(4, 3, 64, 64)
    moved = safety._moved(pixels, 5, chance(0, 1))
    assert moved.shape == pixels.shape
    assert not torch.equal(moved, pixels)
    assert moved.min() >= 0
    assert moved.max() <= 63
    assert torch.equal(safety._moved(pixels, 5, chance(0, 1)), moved)


def test_the_unet_lesson_learns(tmp_path: Path) -> None:
    tokens.write_tokenizer(tmp_path / "t", captions.words())
    data = unet.UnetData(simple_size=8, world_size=8, batch=4, side_px=64)
    text_encoder, painter = unet.teach(
        Plan("unet", 40, 2e-3, tmp_path, ema_decay=0.9), data, vae=toy_vae(), tokenizer_folder=tmp_path / "t"
    )
    curve = losses(tmp_path, "unet")
    assert curve[-1] < curve[0]
    assert painter.config.cross_attention_dim == text_encoder.config.hidden_size


def test_simple_scenes_come_first_and_the_whole_world_after() -> None:
    data = unet.UnetData(simple_size=50, world_size=400)
    drawn = scenes(50, 0, kind=simple) + scenes(400, 0)
    kinds = unet._rows_by_kind(drawn, data)
    assert sorted(np.concatenate(kinds)) == list(range(450)), "every scene is of one kind"
    assert all(len(drawn[row].placed) > 1 and not drawn[row].relation for row in kinds[2])
    for done, simple_share in ((0.0, 0.95), (0.5, 0.95), (0.75, 0.575), (1.0, 0.2)):
        shares = unet._shares(data, data.simple_share(done))
        rows = unet._choose(kinds, shares, np.ones(450), 2000, chance(0, 0).numpy)
        got = [np.isin(rows, kind).mean() for kind in kinds]
        world = 1 - simple_share
        assert got == pytest.approx([simple_share, 0.3 * world, 0.45 * world, 0.25 * world], abs=0.04)


def test_things_that_come_out_worst_are_shown_more_often() -> None:
    assert unet.HOW_OFTEN.keys() < THINGS.keys()
    often = unet.weigh(scenes(40, 0))
    assert {1.0, 3.0} <= {*often}
    rows = unet._choose([np.arange(40)], np.ones(1), often, 4000, chance(0, 0).numpy)
    shown = np.bincount(rows, minlength=40)
    assert shown[often == 3].mean() / shown[often == 1].mean() == pytest.approx(3, rel=0.15)


def test_a_caption_may_be_empty_or_plain() -> None:
    (scene,), rng = scenes(1, seed=4), random.Random(0)
    said = [unet._say(scene, unet.UnetData(empty_share=0.2, plain_share=0.5), rng) for _ in range(400)]
    assert said.count("") == pytest.approx(80, abs=25)
    assert said.count(plainly(scene)) >= 120
    assert len(set(said)) > 5


def test_neon_is_light_on_black() -> None:
    picture = lora.neon(scenes(1, seed=3)[0], 64)
    corner: Any = picture.getpixel((0, 0))
    assert corner < (60, 60, 60)
    assert max(high for _, high in picture.getextrema()) > 200


def test_psnr_of_known_errors() -> None:
    picture = draw(scenes(1, seed=0)[0], 64)
    assert psnr_db(picture, picture) == float("inf")
    off = picture.point(lambda tone: tone + 10 if tone < 200 else tone - 10)
    assert psnr_db(off, picture) == pytest.approx(28.13, abs=0.01)


def test_the_written_model_is_the_published_layout(tmp_path: Path) -> None:
    """Toy networks, real files: the pipeline takes every key, and the prefix and merges are there."""
    size = tokens.write_tokenizer(tmp_path / "t", captions.words())
    torch.manual_seed(0)
    text_encoder, painter = unet.build_text_encoder(size), unet.build_unet((16, 16, 16))
    layout.write_model(tmp_path / "m", text_encoder=text_encoder, unet=painter, vae=toy_vae())
    assert (tmp_path / "m" / "tokenizer" / "merges.txt").is_file()
    pipe = StableDiffusionPipeline.from_pretrained(tmp_path / "m", use_safetensors=True, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    ids = torch.tensor([[size - 2, 5, 6, size - 1]])
    with torch.no_grad():
        mine, theirs = (m.eval()(ids).last_hidden_state for m in (text_encoder, pipe.text_encoder))
    assert torch.equal(mine, theirs)
    assert pipe("a red star", num_inference_steps=2, guidance_scale=3.0).images[0].size == (128, 128)


def test_the_unet_and_lora_lessons_learn_and_the_lora_changes_no_other_weight(tmp_path: Path) -> None:
    tokens.write_tokenizer(tmp_path / "t", captions.words())
    tokenizer, network = CLIPTokenizer.from_pretrained(tmp_path / "t"), toy_vae()
    painter = unet.Painter(unet.build_text_encoder(len(tokenizer)), unet.build_unet((16, 16, 16)))
    before = {name: value.clone() for name, value in painter.text_encoder.state_dict().items()}
    data = lora.LoraData(pool_size=8, batch=4, side_px=64)
    adapted = lora.teach(Plan("lora", 40, 1e-2, tmp_path), data, painter=painter, vae=network, tokenizer=tokenizer)
    curve = losses(tmp_path, "lora")
    assert curve[-1] < curve[0]
    assert all(torch.equal(before[name], value) for name, value in painter.text_encoder.state_dict().items())
    lora.write(tmp_path / "out", adapted)
    assert (tmp_path / "out" / "neon.safetensors").stat().st_size > 1000
