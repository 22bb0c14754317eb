"""The `parameters` text in the forms of the web UI, its extensions and similar programs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.images.codec import encode_png
from generation.images.interchange import ForeignSettings, read_foreign
from generation.images.untrusted_decoder import read_settings
from generation.requests.sampler_names import find_sampler

LINE = "Steps: 25, Sampler: Euler a, CFG scale: 6.5, Seed: 1234, Size: 512x768"
WORDS = "a cat on a roof\nNegative prompt: blurry, ugly\n"


def read(text: str) -> ForeignSettings:
    found = read_foreign({"parameters": text})
    assert found is not None
    return found


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{WORDS}{LINE}", id="as it should be"),
        pytest.param(
            f"{WORDS}{LINE}\nTemplate: a {{cat|dog}}, Seed: 9\nNegative Template: bad, Steps: 3", id="templates below"
        ),
        pytest.param(
            f'{WORDS}{LINE}, Wildcard prompt: "a __animal__,\non a roof", Version: v1.5.1', id="line break in a value"
        ),
        pytest.param(f'{WORDS}{LINE}, Note: he said "hi", Version: v1.5.1', id="quote in a value"),
        pytest.param(f'{WORDS}{LINE}, Note: "never closed, Version: v1.5.1', id="quote that never ends"),
        pytest.param(f'{WORDS}{LINE}, TI hashes: "a: 1, b: 2", Seed: 7', id="the first of two counts"),
        pytest.param(f"{WORDS.rstrip()} {LINE}", id="settings in the line of the negative prompt"),
        pytest.param(f"{WORDS.rstrip()}, {LINE}", id="after a comma"),
        pytest.param(f"a cat on a roof Negative prompt: blurry, ugly {LINE}", id="one line"),
        pytest.param(
            f"{WORDS}Sampler: Euler a, Steps: 25, CFG scale: 6.5, Seed: 1234, Size: 512x768", id="sampler first"
        ),
        pytest.param(f"{WORDS}Parser: full, {LINE}", id="an unknown key first"),
        pytest.param(f"{WORDS}{LINE.replace('CFG scale', 'CFG Scale').replace('Seed', 'seed')}", id="other capitals"),
        pytest.param(
            f'{WORDS}{LINE}, Note: "x,\nSteps: 9, Sampler: DDIM, Seed: 1", Version: 1', id="settings in a value"
        ),
        pytest.param(WORDS + LINE.replace("6.5", "6,5"), id="a decimal comma"),
        pytest.param(WORDS + LINE.replace(", ", " "), id="no commas"),
        pytest.param(WORDS + LINE.replace(", ", "; "), id="semicolons"),
        pytest.param(f"{WORDS}{LINE}".replace("\n", "\r\n"), id="CRLF"),
        pytest.param(f"{WORDS}{LINE}\n", id="a line break at the end"),
        pytest.param(WORDS + LINE.replace(", ", ","), id="no blanks"),
        pytest.param(WORDS + LINE.replace(", ", "\n"), id="one setting a line"),
        pytest.param(WORDS.replace("prompt:", "Prompt:") + LINE, id="Negative Prompt with a capital"),
    ],
)
def test_every_form_gives_the_same_settings(text: str) -> None:
    found = read(text)
    assert (found.prompt, found.negative) == ("a cat on a roof", "blurry, ugly")
    assert (found.steps, found.guidance, found.seed, found.size_px) == (25, 6.5, 1234, (512, 768))
    assert (found.sampler, found.unread) == ("Euler a", ())


@pytest.mark.parametrize(
    "text",
    [
        "just a remark",
        "Model: a woman in a red dress",
        "Seed: a story\nby me",
        "Size: 3, Seed: 4",
        '{"steps": 20, "seed": 1}',
    ],
)
def test_a_text_that_only_looks_a_little_like_it_is_none(text: str) -> None:
    assert read_foreign({"parameters": text}) is None


@pytest.mark.parametrize(
    "prompt",
    ["Model: a woman, standing", "photo of: a cat", "Steps: 3 of them, watermark", "size: large, seed: sunflower"],
)
def test_words_that_look_like_settings_stay_words(prompt: str) -> None:
    for text in (f"{prompt}\nNegative prompt: bad\n{LINE}", f"a cat\nNegative prompt: {prompt}\n{LINE}"):
        found = read(text)
        assert prompt in (found.prompt, found.negative)
        assert found.steps == 25


@pytest.mark.parametrize(
    ("sampler", "schedule", "ours", "unread"),
    [
        ("DPM++ 2M", "Automatic", "DPM++ 2M Karras", ()),
        ("DPM++ 2M", "Karras", "DPM++ 2M Karras", ()),
        ("DPM++ 2M", None, "DPM++ 2M", ()),
        ("DPM++ 2M", "Uniform", "DPM++ 2M", ()),
        ("DPM++ 2M", "Beta", "DPM++ 2M", ("Schedule type: beta",)),
        ("DPM++ 2M", "Nobody's", "DPM++ 2M", ("Schedule type: nobody's",)),
        ("DPM++ 2M SDE", "Automatic", "DPM++ 2M SDE", ("Schedule type: exponential",)),
        ("DPM++ 2M SDE Karras", None, "DPM++ 2M SDE", ("Schedule type: karras",)),
        ("DPM++ 2M SDE Heun", None, None, ("Sampler: DPM++ 2M SDE Heun",)),
        ("DPM++ SDE Karras", None, None, ("Sampler: DPM++ SDE Karras",)),
        ("Euler a", "Automatic", "Euler a", ()),
        ("euler_simple", None, "Euler", ("Schedule type: simple",)),
        ("euler_ancestral", "normal", "Euler a", ()),
        ("Euler", "SGM Uniform", "Euler SGM Uniform", ()),
        ("euler_ancestral", "sgm_uniform", "Euler a SGM Uniform", ()),
        ("k_euler_a", None, "Euler a", ()),
        ("dpmpp_2m_k", None, "DPM++ 2M Karras", ()),
        ("dpmpp_2m", "karras", "DPM++ 2M Karras", ()),
        ("dpmpp_2m_sde_gpu", "exponential", "DPM++ 2M SDE", ("Schedule type: exponential",)),
        ("ddim", "ddim_uniform", "DDIM", ()),
        ("Euler " * 5000, None, None, ("Sampler: " + "Euler " * 5000,)),
        ("", "Karras", None, ()),
        (None, None, None, ()),
    ],
)
def test_a_sampler_and_its_schedule(
    sampler: str | None, schedule: str | None, ours: str | None, unread: tuple[str, ...]
) -> None:
    assert find_sampler(sampler, schedule=schedule) == (ours, unread)


def test_unread_settings_are_named() -> None:
    found = read(f"{WORDS}{LINE}, Clip skip: 2, Denoising strength: 0.5, Hires upscale: 2, ControlNet 0: canny, VAE: x")
    assert found.clip_skip == 2
    assert found.unread == ("denoising strength: 0.5", "hires upscale: 2", "controlnet 0: canny")


def test_lora_that_only_their_hashes_tell_of_are_named() -> None:
    hashes = 'Lora hashes: "one: ab, two: cd"'
    assert read(f"{WORDS}{LINE}, {hashes}").unread == ("lora hashes: one: ab, two: cd",)
    assert read(f"a <lora:one:1> <lora:two:1>\n{LINE}, {hashes}").unread == ()


PIECES = [
    "Steps: 20",
    "Sampler: Euler",
    "Seed: 7",
    "Negative prompt:",
    "\n",
    ", ",
    '"',
    "\\",
    "a cat",
    "Template:",
    ":",
    " ",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5)).map("".join))
def test_any_parameters_text_is_read_without_an_error(text: str) -> None:
    read_foreign({"parameters": text})


@pytest.mark.parametrize(
    "unit",
    [
        "a:\n",
        'a: "\\"',
        "Negative prompt:",
        ': "\n",',
        *(
            pytest.param(each, marks=pytest.mark.long)
            for each in (', a: "', "Steps: 1\n", "Seed: 1, ", "Sampler:", '"', "\\", " ", "a ", "\n", "a:,")
        ),
    ],
)
async def test_texts_made_to_take_for_ever_are_read_within_the_limits_of_the_process(unit: str) -> None:
    text = "a cat\nSteps: 20, " + unit * (990_000 // len(unit))
    picture = encode_png(bytes(64 * 64 * 3), (64, 64), text={"parameters": text})
    assert isinstance(await read_settings(picture), ForeignSettings)
    await read_settings(encode_png(bytes(64 * 64 * 3), (64, 64), text={"parameters": text[::-1]}))


def test_seeds_of_64_bits_are_read_to_the_last_digit() -> None:
    for seed in (2**32, 2**53 + 1, 2**64 - 1):
        assert read(f"a cat\nSteps: 5, Seed: {seed}").seed == seed
    for bad in (2**64, -1, "1e30", "nan", ""):
        assert read(f"a cat\nSteps: 5, Seed: {bad}").seed is None


def test_empty_values_of_a_comfyui_node_are_read_from_the_graph() -> None:
    graph = '{"1": {"class_type": "KSampler", "inputs": {"positive": ["2", 0], "seed": 5, "steps": 3}},'
    graph += '"2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat"}}}'
    written = (
        "unknown\nNegative prompt: unknown\nSteps: 20, Sampler: euler_simple, CFG Scale: 8.0, Seed: 0, Version: ComfyUI"
    )
    found = read_foreign({"parameters": written, "prompt": graph})
    assert found is not None
    assert (found.prompt, found.negative, found.seed) == ("a cat", "", 5)
    alone = read(written)
    assert (alone.tool, alone.prompt, alone.negative) == ("ComfyUI", "", "")
    assert read(f"unknown\n{LINE}, Version: v1.9").prompt == "unknown", "the web UI means the word"
