"""Sample texts as the tools write them, and texts that no tool would write."""

from __future__ import annotations

import json

import pytest

from generation.images.codec import encode_png
from generation.images.interchange import ForeignSettings, read_foreign
from generation.images.untrusted_decoder import read_settings

A1111 = """masterpiece, (a lighthouse:1.2) at dusk,
oil on canvas
Negative prompt: blurry, Steps: 3 of them,
watermark
Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 1234567890, Size: 512x768, \
Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, Lora hashes: "one: ab12, two: cd34", Version: v1.10.1"""

COMFY = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 42,
            "steps": 20,
            "cfg": 8,
            "sampler_name": "euler_ancestral",
            "scheduler": "normal",
            "denoise": 1,
            "model": ["10", 0],
            "positive": ["12", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "dreamy.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 768, "height": 512, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["13", 0], "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "text, watermark", "clip": ["4", 1]}},
    "10": {"class_type": "LoraLoader", "inputs": {"model": ["4", 0], "clip": ["4", 1], "lora_name": "x"}},
    "12": {"class_type": "ConditioningSetArea", "inputs": {"conditioning": ["6", 0]}},
    "13": {"class_type": "PrimitiveString", "inputs": {"value": "a glass bottle\nwith a galaxy inside"}},
}

INVOKE = {
    "app_version": "5.4.2",
    "positive_prompt": "a stone bridge",
    "negative_prompt": "people",
    "width": 640,
    "height": 512,
    "seed": 77,
    "cfg_scale": 7.5,
    "steps": 30,
    "scheduler": "dpmpp_2m_k",
    "model": {"key": "abc", "name": "Stable Diffusion 1.5", "base": "sd-1"},
}


MARKS = "\u0301" * 200_000 + "\u0316" * 200_000
"""Normalised (NFC), all of the second kind come before all of the first: sorted one by one."""


def many_paths(depth: int) -> dict[str, object]:
    """Return a graph in which each node leads to the next by four links."""
    four = [f"conditioning_{n}" for n in range(1, 5)]
    kind = "ConditioningCombineMultiple+"
    links = {str(at): {"class_type": kind, "inputs": {n: [str(at + 1), 0] for n in four}} for at in range(1, depth + 1)}
    sampler = {"class_type": "KSampler", "inputs": {"positive": ["1", 0]}}
    return {"0": sampler, **links, str(depth + 1): {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat"}}}


def test_a1111() -> None:
    assert read_foreign({"parameters": A1111}) == ForeignSettings(
        tool="A1111",
        prompt="masterpiece, (a lighthouse:1.2) at dusk, oil on canvas",
        negative="blurry, Steps: 3 of them, watermark",
        steps=28,
        guidance=6.5,
        seed=1234567890,
        size_px=(512, 768),
        sampler="DPM++ 2M Karras",
        sampler_there="DPM++ 2M",
        model_there="v1-5-pruned-emaonly",
        unread=("lora hashes: one: ab12, two: cd34",),
    )


def test_a1111_without_a_negative_prompt_or_any_prompt() -> None:
    line = "Steps: 5, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64"
    one = read_foreign({"parameters": f"a fox\n{line}"})
    assert one is not None
    assert (one.prompt, one.negative, one.sampler) == ("a fox", "", "Euler a")
    none = read_foreign({"parameters": line})
    assert none is not None
    assert none.prompt == ""


def test_comfyui_follows_the_links_to_words_and_model() -> None:
    assert read_foreign({"prompt": json.dumps(COMFY), "workflow": "{}"}) == ForeignSettings(
        tool="ComfyUI",
        prompt="a glass bottle with a galaxy inside",
        negative="text, watermark",
        steps=20,
        guidance=8.0,
        seed=42,
        size_px=(768, 512),
        sampler="Euler a",
        sampler_there="euler_ancestral",
        model_there="dreamy.safetensors",
        unread=("ConditioningSetArea", "LoraLoader"),
    )


def test_invokeai() -> None:
    assert read_foreign({"invokeai_metadata": json.dumps(INVOKE)}) == ForeignSettings(
        tool="InvokeAI",
        prompt="a stone bridge",
        negative="people",
        steps=30,
        guidance=7.5,
        seed=77,
        size_px=(640, 512),
        sampler="DPM++ 2M Karras",
        sampler_there="dpmpp_2m_k",
        model_there="Stable Diffusion 1.5",
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param({"parameters": A1111}, id="A1111"),
        pytest.param({"prompt": json.dumps(COMFY), "workflow": "{}"}, id="ComfyUI"),
        pytest.param({"invokeai_metadata": json.dumps(INVOKE)}, id="InvokeAI"),
    ],
)
async def test_a_picture_read_in_the_decoders_process_says_the_same(text: dict[str, str]) -> None:
    found = await read_settings(encode_png(bytes(64 * 64 * 3), (64, 64), text=text))
    assert isinstance(found, ForeignSettings)
    assert found == read_foreign(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param({"parameters": "a cat\nSteps: 20, " + "a" * 900_000}, "a cat", id="A1111: a key that never ends"),
        pytest.param({"prompt": json.dumps(many_paths(20))}, "a cat", id="ComfyUI: 4^20 paths through 22 nodes"),
        pytest.param(
            {"invokeai_metadata": json.dumps({"positive_prompt": f"a cat{MARKS}"}, ensure_ascii=False)},
            "a cat" + "\u0301" * 3,
            id="a prompt of marks to be put in order",
        ),
        pytest.param(
            {"parameters": f"a cat\nSteps: 20, Sampler: {MARKS}, Model: {MARKS}"}, "a cat", id="names of such marks"
        ),
    ],
)
async def test_a_text_made_to_take_for_ever_is_read_before_the_process_is_given_up(
    text: dict[str, str], says: str
) -> None:
    """Its ten seconds of processor time are no measure of speed: none of these would end in ten minutes."""
    found = await read_settings(encode_png(bytes(64 * 64 * 3), (64, 64), text=text))
    assert isinstance(found, ForeignSettings)
    assert found.prompt == says


@pytest.mark.parametrize(
    "text",
    [
        {},
        {"Title": "a holiday"},
        {"parameters": "just a remark"},
        {"parameters": ""},
        {"prompt": "not json"},
        {"prompt": "[" * 100_000},
        {"prompt": json.dumps({"1": {"class_type": "SaveImage", "inputs": {}}})},
        {"prompt": json.dumps([1, 2])},
        {"invokeai_metadata": "{}"},
        {"invokeai_metadata": "null"},
    ],
)
def test_texts_of_no_tool_are_not_read(text: dict[str, str]) -> None:
    assert read_foreign(text) is None


def test_numbers_out_of_bounds_are_left_out_not_believed() -> None:
    wild = "a\nSteps: 1e309, Sampler: Nobody's, CFG scale: nan, Seed: 99999999999999999999, Size: -1x0"
    read = read_foreign({"parameters": wild})
    assert read is not None
    assert (read.steps, read.guidance, read.seed, read.size_px, read.sampler) == (None,) * 5
    assert read.sampler_there == "Nobody's"


def test_a_cyclic_graph_ends() -> None:
    loop = {
        "1": {"class_type": "KSampler", "inputs": {"positive": ["2", 0], "negative": ["1", 0], "steps": ["2", 0]}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": ["3", 0]}},
        "3": {"class_type": "Text", "inputs": {"text": ["2", 0]}},
    }
    read = read_foreign({"prompt": json.dumps(loop)})
    assert read is not None
    assert read.prompt == ""


def test_control_characters_and_length_are_bounded() -> None:
    read = read_foreign({"parameters": "a\u202eb\x00" + "x" * 5000 + "\nSteps: 5"})
    assert read is not None
    assert read.prompt.startswith("abx")
    assert len(read.prompt) == 5002
    longer = read_foreign({"parameters": "x" * 900_000 + "\nSteps: 5"})
    assert longer is not None
    assert len(longer.prompt) == 10_000
