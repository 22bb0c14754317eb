"""Graphs that no tool would write: each is read to an end, without an error."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.images.interchange import comfy_nodes as known
from generation.images.interchange import read_foreign
from tests.generation.images.interchange.graphs import Graph, graph, node, read, sampler

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
def test_any_graph_is_read_without_an_error(nodes: Graph) -> None:
    read_foreign({"prompt": json.dumps(nodes)})


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
def test_a_cyclic_or_invalid_graph_ends(nodes: Graph) -> None:
    assert read(nodes).tool == "ComfyUI"


def test_texts_that_double_at_every_node_stay_short() -> None:
    doubling = {
        f"n{at}": node("Text Concatenate", **{f"text_{key}": [str(at + 1), 0] for key in "abcd"})
        for at in range(100, 130)
    }
    nodes = graph(n6=node("CLIPTextEncode", text=["100", 0]), n130=node("Text Multiline", text="a castle"), **doubling)
    assert read(nodes).prompt.startswith("a castle, a castle")
    assert len(read(nodes).prompt) <= 10_000
