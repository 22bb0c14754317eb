"""Graphs are followed by output: what is certain is read, what is not is left out and named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.interchange import Foreign, read_foreign
from generation.interchange import comfy_nodes as known

Graph = dict[str, Any]


def node(kind: str, /, **inputs: Any) -> Graph:
    return {"class_type": kind, "inputs": inputs}


def graph(**changes: Graph) -> Graph:
    """The default workflow; nodes by number, `n6=...` replaces node 6."""
    basis = {
        "3": node(
            "KSampler",
            seed=42,
            steps=3,
            cfg=7,
            sampler_name="euler",
            scheduler="normal",
            denoise=1,
            model=["4", 0],
            positive=["6", 0],
            negative=["7", 0],
            latent_image=["5", 0],
        ),
        "4": node("CheckpointLoaderSimple", ckpt_name="x.safetensors"),
        "5": node("EmptyLatentImage", width=64, height=128, batch_size=1),
        "6": node("CLIPTextEncode", text="a red circle", clip=["4", 1]),
        "7": node("CLIPTextEncode", text="blurry", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", filename_prefix="C", images=["8", 0]),
    }
    return basis | {name[1:]: each for name, each in changes.items()}


def sampler(**changes: Any) -> Graph:
    plain = graph()["3"]
    return {**plain, "inputs": plain["inputs"] | changes}


def read(nodes: Graph) -> Foreign:
    found = read_foreign({"prompt": json.dumps(nodes)})
    assert found is not None
    return found


PLAIN = Foreign(
    tool="ComfyUI",
    prompt="a red circle",
    negative="blurry",
    steps=3,
    guidance=7.0,
    seed=42,
    size_px=(64, 128),
    sampler="Euler",
    sampler_there="euler",
    model_there="x.safetensors",
)


def test_the_default_workflow() -> None:
    assert read(graph()) == PLAIN


def both(kind: str, **more: Any) -> Graph:
    return node(kind, positive=["6", 0], negative=["7", 0], **more)


@pytest.mark.parametrize(
    "kind", ["ControlNetApplyAdvanced", "ControlNetApplySD3", "InpaintModelConditioning", "ACN_AdvancedControlNetApply"]
)
def test_of_a_node_with_two_outputs_the_one_that_is_linked_counts(kind: str) -> None:
    linked = {"positive": ["10", 0], "negative": ["10", 1]}
    found = read(graph(n3=sampler(**linked), n10=both(kind)))
    assert (found.prompt, found.negative, found.unread) == ("a red circle", "blurry", (kind,))
    swapped = read(graph(n3=sampler(positive=["10", 1], negative=["10", 0]), n10=both(kind)))
    assert (swapped.prompt, swapped.negative) == ("blurry", "a red circle")
    twice = {"n10": both(kind), "n11": node(kind, positive=["10", 0], negative=["10", 1])}
    found = read(graph(n3=sampler(positive=["11", 0], negative=["11", 1]), **twice))
    assert (found.prompt, found.negative) == ("a red circle", "blurry")
    elsewhere = read(graph(n3=sampler(positive=["10", 7], negative=["10", -1]), n10=both(kind)))
    assert (elsewhere.prompt, elsewhere.negative) == ("", "")


def test_a_conditioning_of_nothing_has_no_words() -> None:
    found = read(graph(n7=node("ConditioningZeroOut", conditioning=["6", 0])))
    assert found == Foreign(**{**_fields(PLAIN), "negative": ""})


@pytest.mark.parametrize(
    ("nodes", "prompt", "unread"),
    [
        pytest.param(
            {"n6": node("CLIPTextEncodeSDXL", text_g="a castle", text_l="on a hill")},
            "a castle, on a hill",
            ("CLIPTextEncodeSDXL",),
            id="two texts of SDXL",
        ),
        pytest.param(
            {"n6": node("CLIPTextEncodeSDXL", text_g="a castle", text_l="a castle")},
            "a castle",
            (),
            id="the same twice",
        ),
        pytest.param(
            {"n6": node("CLIPTextEncodeFlux", clip_l="a castle", t5xxl="a castle", guidance=3.5)},
            "a castle",
            (),
            id="Flux",
        ),
        pytest.param(
            {
                "n6": node("ConditioningCombine", conditioning_1=["20", 0], conditioning_2=["21", 0]),
                "n20": node("CLIPTextEncode", text="a castle"),
                "n21": node("CLIPTextEncode", text="oil on canvas"),
            },
            "a castle, oil on canvas",
            ("ConditioningCombine",),
            id="combined",
        ),
        pytest.param(
            {
                "n6": node("ConditioningConcat", conditioning_to=["20", 0], conditioning_from=["21", 0]),
                "n20": node("CLIPTextEncode", text="a castle"),
                "n21": node("Nobody's", text="oil on canvas"),
            },
            "a castle",
            ("ConditioningConcat", "Nobody's"),
            id="one of two is not known",
        ),
        pytest.param(
            {
                "n6": node("ConditioningSetArea", conditioning=["20", 0], width=64),
                "n20": node("CLIPTextEncode", text="a castle"),
            },
            "a castle",
            ("ConditioningSetArea",),
            id="an area",
        ),
        pytest.param({"n6": node("Power Prompt (rgthree)", prompt="a castle")}, "a castle", (), id="Power Prompt"),
        pytest.param({"n6": node("Nobody's", text="a castle", positive=["7", 0])}, "", ("Nobody's",), id="not known"),
        pytest.param(
            {"n6": node("Reroute", **{"": ["20", 0]}), "n20": node("CLIPTextEncode", text="a castle")},
            "a castle",
            (),
            id="reroute",
        ),
        pytest.param(
            {"n6": node("CLIPTextEncode", text="embedding:moody, (embedding:sub/dark.pt:1.2) sky")},
            "moody, (dark:1.2) sky",
            (),
            id="learned words",
        ),
    ],
)
def test_conditionings(nodes: Graph, prompt: str, unread: tuple[str, ...]) -> None:
    found = read(graph(**nodes))
    assert (found.prompt, found.unread) == (prompt, unread)
    assert (found.negative, found.seed) == ("blurry", 42)


@pytest.mark.parametrize(
    ("nodes", "prompt", "unread"),
    [
        pytest.param({"n20": node("PrimitiveString", value="a castle")}, "a castle", (), id="primitive"),
        pytest.param(
            {
                "n20": node("Text Concatenate", delimiter=" / ", text_a=["21", 0], text_b="b", text_d=["22", 0]),
                "n21": node("Text Multiline", text="a castle"),
                "n22": node("ttN text", prompt="at dusk"),
            },
            "a castle / b / at dusk",
            (),
            id="put together",
        ),
        pytest.param(
            {"n20": node("StringConcatenate", string_a="a castle", string_b=" at dusk", delimiter="")},
            "a castle at dusk",
            (),
            id="without a delimiter",
        ),
        pytest.param(
            {"n20": node("ShowText|pysssss", text=["21", 0]), "n21": node("String Literal", string="a castle")},
            "a castle",
            (),
            id="shown on the way",
        ),
        pytest.param(
            {"n20": node("OllamaGenerate", prompt="describe a castle")},
            "",
            ("OllamaGenerate",),
            id="unknown: its text is not what comes out",
        ),
        pytest.param(
            {"n20": node("Nobody's", lora=["21", 1]), "n21": node("LoraTagLoader", text="<lora:x:1>")},
            "",
            ("Nobody's",),
            id="nothing behind it is taken",
        ),
        pytest.param(
            {"n20": node("SDXLPromptStyler", text_positive="a castle", text_negative="b", style="x")},
            "a castle",
            ("SDXLPromptStyler",),
            id="a style that is not known",
        ),
        pytest.param(
            {"n20": node("ImpactWildcardProcessor", wildcard_text="{a|b}", populated_text="b")},
            "b",
            (),
            id="wildcards that were drawn",
        ),
    ],
)
def test_texts(nodes: Graph, prompt: str, unread: tuple[str, ...]) -> None:
    found = read(graph(n6=node("CLIPTextEncode", text=["20", 0], clip=["4", 1]), **nodes))
    assert (found.prompt, found.unread) == (prompt, unread)


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


def test_what_leads_to_no_saved_picture_does_not_count() -> None:
    stray = {
        "n1": sampler(seed=1),
        "n2": node("PreviewImage", images=["1", 0]),
        "n10": sampler(seed=43, latent_image=["3", 0]),
    }
    nodes = graph(**stray)
    assert read(dict(sorted(nodes.items()))) == PLAIN


def test_of_two_saved_pictures_only_what_they_share_is_known() -> None:
    other = {"n1": sampler(seed=1, positive=["7", 0]), "n2": node("SaveImage", images=["1", 0])}
    found = read(graph(**other))
    assert (found.prompt, found.seed) == ("", None)
    assert (found.negative, found.steps) == ("blurry", 3)


def test_what_is_painted_over_the_picture_is_named() -> None:
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
def test_a_graph_of_a_sampler_nobody_knows_is_a_graph_of_comfyui(stray: Graph) -> None:
    found = read(graph(n3=node("Nobody's", text="a red circle"), **stray))
    assert (found.tool, found.prompt, found.unread) == ("ComfyUI", "", ("Nobody's",))


def test_a_link_that_leads_nowhere_is_named_as_it_stands() -> None:
    found = read(graph(n3=sampler(positive=["66", 0])))
    assert (found.prompt, found.unread) == ("", ("['66', 0]",))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.tuples(st.sampled_from("345678"), st.integers(-1, 9)).map(list),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
KINDS = sorted(
    {*known.ENCODERS, *known.TEXTS, *known.JOINING, *known.CONDITIONING_RELAYS, *known.BUSES, *known.REROUTES}
)
KINDS += sorted({*known.SAMPLERS, *known.NUMBERS, *known.SELECTORS, *known.SCHEDULES, *known.LORAS, *known.LORA_STACKS})
KINDS += ["Efficient Loader", "CLIPSetLastLayer", "BasicScheduler", "CFGGuider", "RandomNoise", "SaveImage", "Nobody's"]
NAMES = ["positive", "negative", "latent_image", "model", "clip", "text", "text_a", "prompt", "conditioning", "samples"]
NAMES += [
    "conditioning_1",
    "seed",
    "steps",
    "cfg",
    "value",
    "sampler",
    "sigmas",
    "noise",
    "guider",
    "basic_pipe",
    "base_ctx",
]
NAMES += [
    "lora_name",
    "lora_1",
    "strength_model",
    "strength_clip",
    "delimiter",
    "images",
    "width",
    "height",
    "ckpt_name",
]


@given(
    st.dictionaries(
        st.sampled_from("345678"),
        st.builds(
            lambda kind, inputs: {"class_type": kind, "inputs": inputs},
            st.sampled_from(KINDS),
            st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8),
        ),
    )
)
def test_no_graph_is_an_error(nodes: Graph) -> None:
    read_foreign({"prompt": json.dumps(nodes)})


# Graphs that no tool would write.


def loop(kind: str, *keys: str) -> Graph:
    return graph(n6=node(kind, **{key: ["6", 0] for key in keys}))


@pytest.mark.parametrize(
    "nodes",
    [
        loop("ConditioningCombine", "conditioning_1", "conditioning_2"),
        loop("ConditioningSetArea", "conditioning"),
        loop("Reroute", ""),
        loop("CLIPTextEncode", "text", "clip"),
        graph(
            n6=node("CLIPTextEncode", text=["6", 0], clip=["6", 0]), n3=sampler(latent_image=["3", 0], model=["3", 0])
        ),
        graph(n6=node("Context (rgthree)", base_ctx=["6", 0]), n3=sampler(positive=["6", 4], seed=["6", 8])),
        graph(
            n3=sampler(seed=["20", 0], latent_image=["21", 0]),
            n20=node("PrimitiveInt", value=["20", 0]),
            n21=node("RepeatLatentBatch", samples=["21", 0]),
        ),
        graph(n3=sampler(positive=["3", 0], negative=[], model=[1], seed=[[], {}], steps=["4", "0"], cfg={})),
        graph(n3=sampler(**dict.fromkeys(sampler()["inputs"]))),
        graph(n3=sampler(**{key: [None, 0] for key in sampler()["inputs"]})),
        graph(n3=sampler(**{key: {"a": 1} for key in sampler()["inputs"]})),
        {str(at): node("KSampler", latent_image=[str(at + 1), 0], positive=[str(at + 1), 0]) for at in range(2000)},
        {str(at): node("ConditioningSetArea", conditioning=[str(at + 1), 0]) for at in range(5000)}
        | {"x": sampler(positive=["0", 0])},
        {str(at): node("KSampler") for at in range(5000)},
    ],
)
def test_a_graph_that_bites_its_own_tail_or_is_none_ends(nodes: Graph) -> None:
    assert read(nodes).tool == "ComfyUI"


def test_texts_that_double_at_every_node_stay_short() -> None:
    doubling = {
        f"n{at}": node("Text Concatenate", **{f"text_{key}": [str(at + 1), 0] for key in "abcd"})
        for at in range(100, 130)
    }
    nodes = graph(n6=node("CLIPTextEncode", text=["100", 0]), n130=node("Text Multiline", text="a castle"), **doubling)
    assert read(nodes).prompt.startswith("a castle, a castle")
    assert len(read(nodes).prompt) <= 10_000


def _fields(value: Foreign) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}
