"""Numbers, passes, LoRA: which sampler of a graph made the picture, and with which values."""

from __future__ import annotations

from typing import Any

import pytest

from tests.generation.images.interchange.graphs import PLAIN, Graph, graph, node, read, sampler


@pytest.mark.parametrize("seed", [156680208700286, 2**64 - 1, 0])
def test_seeds_of_64_bits(seed: int) -> None:
    assert read(graph(n3=sampler(seed=seed))).seed == seed


def test_numbers_from_other_nodes() -> None:
    linked = sampler(seed=["20", 0], steps=["21", 0], cfg=["22", 0], sampler_name=["23", 0])
    held = {
        "n20": node("Seed (rgthree)", seed=7),
        "n21": node("PrimitiveInt", value=12),
        "n23": node("KSamplerSelect", sampler_name="heun"),
    }
    found = read(graph(n3=linked, n22=node("Float Literal", float=4.5), **held))
    assert (found.seed, found.steps, found.guidance, found.sampler) == (7, 12, 4.5, "Heun")
    found = read(graph(n3=linked, n22=node("Nobody's", value=4.5), **held))
    assert (found.guidance, found.unread) == (None, ("Nobody's",))


def test_the_first_pass_counts_wherever_it_stands_and_the_second_is_named() -> None:
    second = sampler(seed=43, steps=10, denoise=0.5, latent_image=["11", 0])
    upscale = {
        "n11": node("LatentUpscale", width=512, height=512, samples=["3", 0]),
        "n8": node("VAEDecode", samples=["10", 0]),
    }
    passes = graph(n10=second, **upscale)
    for nodes in (passes, dict(reversed(passes.items()))):
        found = read(nodes)
        assert (found.seed, found.steps, found.size_px) == (42, 3, (64, 128))
        assert set(found.unread) == {"KSampler", "LatentUpscale"}


def test_nodes_without_a_saved_picture_do_not_count() -> None:
    stray = {
        "n1": sampler(seed=1),
        "n2": node("PreviewImage", images=["1", 0]),
        "n10": sampler(seed=43, latent_image=["3", 0]),
    }
    nodes = graph(**stray)
    assert read(dict(sorted(nodes.items()))) == PLAIN


def test_two_saved_pictures_give_only_their_common_settings() -> None:
    other = {"n1": sampler(seed=1, positive=["7", 0]), "n2": node("SaveImage", images=["1", 0])}
    found = read(graph(**other))
    assert (found.prompt, found.seed) == ("", None)
    assert (found.negative, found.steps) == ("blurry", 3)


def test_later_passes_over_the_picture_are_named() -> None:
    detailer = node("FaceDetailer", image=["8", 0], seed=9, steps=20, positive=["7", 0], negative=["6", 0])
    found = read(graph(n9=node("SaveImage", images=["10", 0]), n10=detailer))
    assert (found.prompt, found.seed, found.unread) == ("a red circle", 42, ("FaceDetailer",))


def test_a_start_picture_is_named() -> None:
    found = read(
        graph(n3=sampler(denoise=0.6), n5=node("VAEEncode", pixels=["20", 0]), n20=node("LoadImage", image="a.png"))
    )
    assert (found.size_px, found.unread) == (None, ("VAEEncode", "denoise"))


@pytest.mark.parametrize("kind", ["KSampler (Efficient)", "KSamplerAdvanced", "Somebody's sampler"])
def test_samplers_like_it(kind: str) -> None:
    plain = sampler()["inputs"]
    seed = {"noise_seed": plain.pop("seed")} if kind == "KSamplerAdvanced" else {}
    assert read(graph(n3=node(kind, **plain, **seed))) == PLAIN


def custom(**changes: Graph) -> Graph:
    links = {
        "noise": ["20", 0],
        "guider": ["21", 0],
        "sampler": ["22", 0],
        "sigmas": ["23", 0],
        "latent_image": ["5", 0],
    }
    parts = {
        "n3": node("SamplerCustomAdvanced", **links),
        "n20": node("RandomNoise", noise_seed=2**50),
        "n21": node("CFGGuider", cfg=4, model=["4", 0], positive=["6", 0], negative=["7", 0]),
        "n22": node("KSamplerSelect", sampler_name="dpmpp_2m"),
        "n23": node("BasicScheduler", scheduler="karras", steps=12, denoise=1, model=["4", 0]),
    }
    return graph(**{**parts, **changes})


def test_a_sampler_in_parts() -> None:
    found = read(custom())
    assert (found.prompt, found.negative, found.seed, found.guidance) == ("a red circle", "blurry", 2**50, 4.0)
    assert (found.steps, found.sampler, found.model_there, found.unread) == (12, "DPM++ 2M Karras", "x.safetensors", ())
    basic = read(custom(n21=node("BasicGuider", model=["4", 0], conditioning=["6", 0])))
    assert (basic.prompt, basic.negative, basic.guidance) == ("a red circle", "", 1.0)
    unknown = read(custom(n21=node("Nobody's", conditioning=["6", 0]), n23=node("SplitSigmas", sigmas=["6", 0])))
    assert (unknown.prompt, unknown.steps, unknown.unread) == ("", None, ("Nobody's", "SplitSigmas"))


def test_values_on_a_bus() -> None:
    context = node("Context (rgthree)", positive=["6", 0], negative=["7", 0], seed=5)
    later = node("Context (rgthree)", base_ctx=["20", 0], negative=["6", 0])
    linked = sampler(positive=["21", 4], negative=["21", 5], seed=["21", 8])
    found = read(graph(n3=linked, n20=context, n21=later))
    assert (found.prompt, found.negative, found.seed) == ("a red circle", "a red circle", 5)
    pipe = node("ToBasicPipe", positive=["6", 0], negative=["7", 0], model=["4", 0])
    from_pipe = node("FromBasicPipe", basic_pipe=["20", 0])
    found = read(graph(n3=sampler(positive=["21", 3], negative=["21", 4], model=["21", 0]), n20=pipe, n21=from_pipe))
    assert found == PLAIN


def test_a_loader_that_holds_the_words() -> None:
    loader = node(
        "Efficient Loader",
        ckpt_name="x.safetensors",
        lora_name="a.safetensors",
        lora_model_strength=0.5,
        lora_clip_strength=0.5,
        positive="a castle",
        negative="fog",
        empty_latent_width=64,
        empty_latent_height=96,
        clip_skip=-2,
    )
    links = {"model": ["4", 0], "positive": ["4", 1], "negative": ["4", 2], "latent_image": ["4", 3]}
    found = read(graph(n3=sampler(**links), n4=loader))
    assert (found.prompt, found.negative, found.size_px, found.clip_skip) == ("a castle", "fog", (64, 96), 2)
    assert (found.loras, found.unread) == (("<lora:a:0.5>",), ())


def lora(model: list[Any], clip: list[Any], name: str, weight: float, on_clip: float | None = None) -> Graph:
    on_clip = weight if on_clip is None else on_clip
    return node("LoraLoader", model=model, clip=clip, lora_name=name, strength_model=weight, strength_clip=on_clip)


def test_lora_and_clip_skip_are_read_in_order_where_one_number_says_it() -> None:
    chain = {
        "n20": lora(["4", 0], ["4", 1], "styles\\one.safetensors", 0.8),
        "n21": lora(["20", 0], ["20", 1], "two.safetensors", 1),
        "n22": node("CLIPSetLastLayer", clip=["21", 1], stop_at_clip_layer=-2),
        "n6": node("CLIPTextEncode", text="a red circle", clip=["22", 0]),
        "n3": sampler(model=["21", 0]),
    }
    found = read(graph(**chain))
    assert (found.loras, found.clip_skip, found.unread) == (("<lora:one:0.8>", "<lora:two:1>"), 2, ())
    assert found.model_there == "x.safetensors"
    uneven = read(graph(**{**chain, "n21": lora(["20", 0], ["20", 1], "two.safetensors", 1, 0.5)}))
    assert (uneven.loras, uneven.unread) == (("<lora:one:0.8>",), ("LoraLoader",))
    only_model = read(graph(**{**chain, "n6": node("CLIPTextEncode", text="a red circle", clip=["20", 1])}))
    assert (only_model.loras, only_model.unread) == (("<lora:one:0.8>",), ("LoraLoader",))
    patched = read(graph(n3=sampler(model=["20", 0]), n20=node("FreeU_V2", model=["4", 0])))
    assert (patched.model_there, patched.unread) == ("x.safetensors", ("FreeU_V2",))


def test_rows_of_lora() -> None:
    rows = {
        "lora_1": {"on": True, "lora": "a.safetensors", "strength": 0.7},
        "lora_2": {"on": False, "lora": "b", "strength": 1},
    }
    loader = node("Power Lora Loader (rgthree)", model=["4", 0], clip=["4", 1], **rows)
    linked = {"n3": sampler(model=["20", 0]), "n6": node("CLIPTextEncode", text="a red circle", clip=["20", 1])}
    found = read(graph(n20=loader, **linked))
    assert (found.loras, found.unread) == (("<lora:a:0.7>",), ())


@pytest.mark.parametrize("stray", [{}, {"n10": sampler(seed=43)}], ids=["alone", "beside a known one"])
def test_a_graph_with_an_unknown_sampler_counts_as_comfyui(stray: Graph) -> None:
    found = read(graph(n3=node("Nobody's", text="a red circle"), **stray))
    assert (found.tool, found.prompt, found.unread) == ("ComfyUI", "", ("Nobody's",))


def test_a_broken_link_is_named() -> None:
    found = read(graph(n3=sampler(positive=["66", 0])))
    assert (found.prompt, found.unread) == ("", ("['66', 0]",))
