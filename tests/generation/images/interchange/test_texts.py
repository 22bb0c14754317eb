"""Where the settings are in a file: chunks, Exif in every encoding, JSON inside; and which tool wrote them."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from generation.images.codec import encode_png
from generation.images.errors import PictureDamagedError
from generation.images.interchange import ForeignSettings, read_foreign
from generation.images.interchange.texts import read_texts
from generation.images.untrusted_decoder import read_settings
from tests.generation.images.hostile_files import with_chunk

WORDS = "a cat, テスト, größer"
PARAMETERS = f"{WORDS}\nSteps: 25, Sampler: Euler a, Seed: 1234"
READ = ForeignSettings(tool="A1111", prompt=WORDS, steps=25, sampler="Euler a", sampler_there="Euler a", seed=1234)


def picture(
    kind: str, *, size: tuple[int, int] = (32, 32), text: dict[str, str] | None = None, **options: Any
) -> bytes:
    info = PngInfo()
    for keyword, value in (text or {}).items():
        info.add_itxt(keyword, value)
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, kind, **({"pnginfo": info} if text else {}), **options)
    return buffer.getvalue()


def comment(value: bytes, *, byte_order: bytes = b"MM") -> bytes:
    """Return an Exif block of one `UserComment`, built by hand in either byte order."""
    pack = ">" if byte_order == b"MM" else "<"
    head = byte_order + struct.pack(pack + "HI", 42, 8)
    main = struct.pack(pack + "HHHII", 1, 0x8769, 4, 1, 26) + bytes(4)
    details = struct.pack(pack + "HHHII", 1, 0x9286, 7, len(value), 44) + bytes(4)
    return b"Exif\0\0" + head + main + details + value


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", pytest.param("PNG", marks=pytest.mark.long)])
@pytest.mark.parametrize("byte_order", [b"MM", pytest.param(b"II", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"UNICODE\0" + PARAMETERS.encode("utf-16-be"), id="UTF-16 BE"),
        pytest.param(b"UNICODE\0" + PARAMETERS.encode("utf-16-le"), id="UTF-16 LE"),
        pytest.param(b"UNICODE\0" + PARAMETERS.encode("utf-16"), id="UTF-16 with a mark"),
        pytest.param(b"UNICODE\0" + PARAMETERS.encode(), id="UTF-8 that calls itself Unicode"),
        pytest.param(b"ASCII\0\0\0" + PARAMETERS.encode(), id="UTF-8 that calls itself ASCII"),
        pytest.param(bytes(8) + PARAMETERS.encode() + b"\0", id="UTF-8 of no name"),
        pytest.param(PARAMETERS.encode(), id="UTF-8 without a prefix"),
    ],
)
async def test_exif_is_read_in_every_encoding(kind: str, byte_order: bytes, value: bytes) -> None:
    assert await read_settings(picture(kind, exif=comment(value, byte_order=byte_order))) == READ


def test_jis_and_nonsense_in_exif() -> None:
    japanese = b"JIS\0\0\0\0\0" + "a cat, テスト\nSteps: 25".encode("iso2022_jp")
    assert read_foreign(read_texts(picture("JPEG", exif=comment(japanese)))) == ForeignSettings(
        tool="A1111", prompt="a cat, テスト", steps=25
    )
    for value in (b"", b"UNICODE\0", b"UNICODE\0\xff", b"\xff" * 200, b"UNICODE\0" + b"\xd8\0" * 20):
        assert read_foreign(read_texts(picture("JPEG", exif=comment(value)))) is None
    broken = comment(PARAMETERS.encode())[:-200]
    assert read_foreign(read_texts(picture("WEBP", exif=broken))) is None


async def test_utf_8_in_a_latin_1_chunk_and_latin_1_itself() -> None:
    plain = encode_png(bytes(64 * 64 * 3), (64, 64))
    for text, words in ((PARAMETERS.encode(), WORDS), (b"gr\xf6\xdfer\nSteps: 25", "größer")):
        found = await read_settings(with_chunk(plain, b"tEXt", b"parameters\0" + text))
        assert isinstance(found, ForeignSettings)
        assert found.prompt == words


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (15, 64), (8200, 2), (4200, 4200)])
async def test_settings_are_read_at_any_picture_size(size: tuple[int, int]) -> None:
    assert await read_settings(picture("PNG", size=size, text={"parameters": PARAMETERS})) == READ


async def test_the_text_of_a_truncated_png_is_read() -> None:
    whole = picture("PNG", size=(512, 512), text={"parameters": PARAMETERS})
    assert await read_settings(whole[: whole.index(b"IDAT") + 20]) == READ
    with pytest.raises(PictureDamagedError):
        await read_settings(picture("PNG", size=(512, 512))[:60])


GRAPH = {
    "1": {"class_type": "KSampler", "inputs": {"positive": ["2", 0], "seed": 5}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat"}},
}


def test_a_graph_in_a_webp_is_read_from_the_camera_tag() -> None:
    exif = Image.Exif()
    exif[0x0110], exif[0x010F] = f"prompt:{json.dumps(GRAPH)}", "workflow:{}"
    found = read_foreign(read_texts(picture("WEBP", exif=exif)))
    assert found == ForeignSettings(tool="ComfyUI", prompt="a cat", seed=5)
    within = json.dumps({"prompt": GRAPH, "workflow": {}})
    assert read_foreign(read_texts(picture("JPEG", exif=comment(within.encode())))) == found
    camera = Image.Exif()
    camera[0x0110], camera[0x010E] = "EOS 5D", "a holiday"
    assert read_foreign(read_texts(picture("JPEG", exif=camera))) is None


SWARM = {
    "prompt": "a castle",
    "negativeprompt": "fog",
    "model": "big",
    "seed": 2**40,
    "steps": 20,
    "cfgscale": 7.0,
    "width": 512,
    "height": 768,
    "sampler": "euler_ancestral",
    "scheduler": "karras",
    "loras": ["sub/one", "two"],
    "loraweights": ["0.8", "1"],
    "refinercontrolpercentage": 0.2,
}
FOOOCUS = {
    "prompt": "a castle",
    "negative_prompt": "fog",
    "base_model": "big",
    "base_model_hash": "ab12",
    "guidance_scale": 7.0,
    "loras": [["one.safetensors", 0.8, "ab"]],
    "metadata_scheme": "fooocus",
    "prompt_expansion": "a castle, cinematic",
    "refiner_model": "None",
    "resolution": "(512, 768)",
    "sampler": "dpmpp_2m",
    "scheduler": "karras",
    "seed": "77",
    "steps": 20,
    "styles": "['Fooocus V2']",
}
NOVELAI = {
    "uc": "fog",
    "steps": 20,
    "scale": 7.0,
    "seed": 77,
    "sampler": "k_euler_ancestral",
    "noise_schedule": "karras",
    "width": 512,
    "height": 768,
    "v4_prompt": {"caption": {"base_caption": "x", "char_captions": [{"char_caption": "a girl"}]}},
}
DRAW_THINGS = {
    "c": "a castle",
    "uc": "fog",
    "steps": 20,
    "scale": 7,
    "seed": 77,
    "size": "512x768",
    "sampler": "Euler a",
}
EASY = {
    "prompt": "a castle",
    "negative_prompt": "fog",
    "seed": "77",
    "num_inference_steps": "20",
    "guidance_scale": "7",
    "width": "512",
    "height": "768",
    "sampler_name": "euler_a",
    "use_lora_model": "one",
    "lora_alpha": "0.5",
}
INVOKE = {
    "positive_prompt": "a castle",
    "negative_prompt": "fog",
    "positive_style_prompt": "oil",
    "seed": 77,
    "steps": 20,
    "cfg_scale": 7,
    "width": 512,
    "height": 768,
    "scheduler": "euler_a",
    "clip_skip": 1,
    "loras": [{"model": {"name": "one"}, "weight": 0.75}],
    "model": {"name": "big"},
}
EARLIER = {"model_weights": "big", "image": {"prompt": [{"prompt": "a castle", "weight": 1}], "steps": 20, "seed": 77}}


@pytest.mark.parametrize(
    ("text", "tool", "loras", "unread"),
    [
        pytest.param(
            {"parameters": json.dumps({"sui_image_params": SWARM})},
            "SwarmUI",
            ("<lora:one:0.8>", "<lora:two:1>"),
            ("Schedule type: karras", "refinercontrolpercentage"),
            id="SwarmUI",
        ),
        pytest.param(
            {"parameters": json.dumps(FOOOCUS), "fooocus_scheme": "fooocus"},
            "Fooocus",
            ("<lora:one:0.8>",),
            ("prompt_expansion", "styles"),
            id="Fooocus",
        ),
        pytest.param(
            {"Software": "NovelAI", "Description": "a castle", "Comment": json.dumps(NOVELAI)},
            "NovelAI",
            (),
            ("Schedule type: karras", "char_captions"),
            id="NovelAI",
        ),
        pytest.param({"parameters": json.dumps(DRAW_THINGS)}, "Draw Things", (), (), id="Draw Things"),
        pytest.param(EASY, "Easy Diffusion", ("<lora:one:0.5>",), (), id="Easy Diffusion"),
        pytest.param(
            {"invokeai_metadata": json.dumps(INVOKE)},
            "InvokeAI",
            ("<lora:one:0.75>",),
            ("positive_style_prompt",),
            id="InvokeAI",
        ),
    ],
)
async def test_tools_that_write_json(
    text: dict[str, str], tool: str, loras: tuple[str, ...], unread: tuple[str, ...]
) -> None:
    found = await read_settings(picture("PNG", text=text))
    assert isinstance(found, ForeignSettings)
    assert (found.tool, found.prompt, found.negative) == (tool, "a castle", "fog")
    assert (found.steps, found.guidance, found.size_px) == (20, 7.0, (512, 768))
    assert found.seed == (2**40 if tool == "SwarmUI" else 77)
    assert found.sampler == ("DPM++ 2M Karras" if tool == "Fooocus" else "Euler a")
    assert (found.loras, found.unread) == (loras, unread)
    assert found.clip_skip == (2 if tool == "InvokeAI" else None)


@pytest.mark.parametrize(
    ("exif", "tool"),
    [
        (comment(json.dumps({"sui_image_params": SWARM}).encode()), "SwarmUI"),
        (comment(b"UNICODE\0" + json.dumps({"sui_image_params": SWARM}).encode("utf-16-be")), "SwarmUI"),
        (comment(json.dumps(FOOOCUS).encode()), "Fooocus"),
        (
            comment(
                json.dumps({"Software": "NovelAI", "Description": "a castle", "Comment": json.dumps(NOVELAI)}).encode()
            ),
            "NovelAI",
        ),
        (comment(json.dumps(DRAW_THINGS).encode()), "Draw Things"),
        (comment(json.dumps(EASY).encode()), "Easy Diffusion"),
    ],
)
def test_their_jpegs_say_the_same(exif: bytes, tool: str) -> None:
    found = read_foreign(read_texts(picture("JPEG", exif=exif)))
    assert found is not None
    assert (found.tool, found.prompt, found.negative) == (tool, "a castle", "fog")


@pytest.mark.parametrize(
    ("text", "tool", "prompt"),
    [
        ({"sd-metadata": json.dumps(EARLIER)}, "InvokeAI", "a castle"),
        ({"Dream": '"a castle" -s 50'}, "InvokeAI", ""),
        ({"Software": "NovelAI", "Comment": "not json"}, "NovelAI", ""),
        ({"Description": "a castle --v 5 Job ID: 12-34", "Author": "x"}, "Midjourney", ""),
        ({"workflow": '{"nodes": [], "links": []}'}, "ComfyUI", ""),
        ({"parameters": json.dumps({"sui_image_params": {}})}, "SwarmUI", ""),
    ],
)
def test_an_unreadable_format_is_named(text: dict[str, str], tool: str, prompt: str) -> None:
    found = read_foreign(text)
    assert found is not None
    assert (found.tool, found.prompt) == (tool, prompt)


@pytest.mark.parametrize("value", [None, [], {}, "x" * 30_000, -1, 1e400, True, [[[]]], {"name": {}}, ["a"] * 9])
def test_values_of_any_kind_in_any_place_are_no_error(value: object) -> None:
    for settings in (SWARM, FOOOCUS, INVOKE, DRAW_THINGS, EASY):
        for key in settings:
            changed = json.dumps({**settings, key: value})
            for text in (
                {"parameters": changed},
                {"invokeai_metadata": changed},
                {"Comment": changed, "Software": "NovelAI"},
            ):
                read_foreign(text)
        wrapped = json.dumps({"sui_image_params": dict.fromkeys(settings, value)})
        assert read_foreign({"parameters": wrapped}) is not None


def test_the_weights_of_novelai_are_named() -> None:
    found = read_foreign({"Software": "NovelAI", "Description": "a {{red}} [cat]", "Comment": json.dumps({"uc": ""})})
    assert found is not None
    assert found.unread == ("{ } [ ] ::",)
