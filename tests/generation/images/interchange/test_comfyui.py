"""Graphs are followed by output: certain values are read, the others are left out and named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.generation.images.interchange.graphs import PLAIN, Graph, graph, node, read, sampler


def test_the_default_workflow() -> None:
    assert read(graph()) == PLAIN


def both(kind: str, **more: Any) -> Graph:
    return node(kind, positive=["6", 0], negative=["7", 0], **more)


@pytest.mark.parametrize(
    "kind", ["ControlNetApplyAdvanced", "ControlNetApplySD3", "InpaintModelConditioning", "ACN_AdvancedControlNetApply"]
)
def test_the_linked_output_of_a_node_counts(kind: str) -> None:
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
    assert found == replace(PLAIN, negative="")


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
