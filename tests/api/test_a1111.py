"""A client of the AUTOMATIC1111 web UI (webuiapi) paints through the API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeVar

import httpx2
import pytest
import webuiapi
from PIL import Image

from api.a1111.answers import encode
from api.a1111.asked import list_ignored, read_asked
from api.a1111.schemas import TextBody
from api.a1111.sessions import Session
from api.errors import NotSupportedError
from generation.owner import Owner
from tests.api.harness import ADA, BO, Api

T = TypeVar("T")
SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 5, "cfg_scale": 3.0}


async def connect(api: Api, owner: Owner = ADA) -> webuiapi.WebUIApi:
    """Return the client, with a new key as its password."""
    key = await api.services.api_keys.create(owner, "a1111")

    def make() -> webuiapi.WebUIApi:
        client = webuiapi.WebUIApi(baseurl=f"{api.url}/sdapi/v1", username="me", password=key)
        client.session.trust_env = False
        return client

    return await asyncio.to_thread(make)


async def ask(call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    return await asyncio.to_thread(call, *args, **kwargs)


async def test_the_client_paints(api: Api) -> None:
    client = await connect(api)
    done = await ask(client.txt2img, prompt="a red circle", seed=7, batch_size=2, **SMALL)
    assert [each.size for each in done.images] == [(64, 64), (64, 64)]
    assert (done.info["all_seeds"], done.info["sampler_name"], done.info["steps"]) == ([7, 8], "Euler a", 5)
    assert done.info["infotexts"][0] == done.images[0].info["parameters"]
    assert "Seed: 7, Size: 64x64" in done.info["infotexts"][0]
    assert done.info["ignored"] == []
    job = await api.services.jobs.fetch_job(done.info["job_id"])
    assert job.owner == ADA


async def test_the_client_reads_what_there_is(api: Api) -> None:
    client = await connect(api)
    models = await ask(client.get_sd_models)
    assert [each["model_name"] for each in models] == ["paintbox"]
    assert "Euler a" in [each["name"] for each in await ask(client.get_samplers)]
    assert "None" in [each["name"] for each in await ask(client.get_upscalers)]
    assert [each["name"] for each in await ask(client.get_loras)]
    assert "karras" in [each["name"] for each in await ask(client.get_schedulers)]
    assert await ask(client.get_face_restorers) == []
    assert (await ask(client.get_options))["sd_model_checkpoint"].startswith("paintbox")
    assert (await ask(client.get_progress))["progress"] == 0


async def test_options_hold_for_their_key_alone(api: Api) -> None:
    ada, bo = await connect(api, ADA), await connect(api, BO)
    await ask(ada.set_options, {"CLIP_stop_at_last_layers": 2, "sd_model_checkpoint": "paintbox [0123456789]"})
    assert (await ask(ada.get_options))["CLIP_stop_at_last_layers"] == 2
    assert (await ask(bo.get_options))["CLIP_stop_at_last_layers"] == 1
    with pytest.raises(RuntimeError, match="There is no model named “nothing”"):
        await ask(ada.txt2img, prompt="x", override_settings={"sd_model_checkpoint": "nothing"}, **SMALL)


async def test_progress_and_interrupt_see_the_jobs_of_their_key_alone(api: Api) -> None:
    ada, bo = await connect(api, ADA), await connect(api, BO)
    api.services.generation.pause(True)
    painting = asyncio.create_task(ask(ada.txt2img, prompt="a red circle", **SMALL))
    while (job := (await ask(ada.get_progress))["state"]["job"]) == "":
        assert not painting.done(), painting.result()
    assert (await ask(bo.get_progress))["state"]["job"] == ""
    await ask(bo.interrupt)
    assert api.services.generation.is_live(job)
    await ask(ada.interrupt)
    with pytest.raises(RuntimeError, match="cancelled before a picture was done"):
        await painting
    assert (await ask(ada.get_progress))["state"]["job"] == ""


async def test_the_client_paints_from_a_picture_and_says_how_it_was_made(api: Api) -> None:
    client = await connect(api)
    picture = Image.new("RGB", (96, 64), "red")
    mask = Image.new("L", (96, 64), 255)
    start = {"images": [picture], "prompt": "a blue circle", **SMALL, "width": 96}
    done = await ask(client.img2img, **start, seed=3, denoising_strength=0.5)
    assert (done.image.size, done.info["denoising_strength"], done.info["seed"]) == ((96, 64), 0.5, 3)
    repainted = await ask(client.img2img, **start, mask_image=mask)
    job = await api.services.jobs.fetch_job(repainted.info["job_id"])
    assert job.request.spec.start.mask_sha256
    with pytest.raises(RuntimeError, match="The mask must be as large as the picture, 96 x 64"):
        await ask(client.img2img, **start, mask_image=Image.new("L", (64, 64)))
    said = await ask(client.png_info, picture)
    assert said.info == "" and said.parameters == {}
    # `Image.save` of the client drops texts, so the file goes as it is
    png = await asyncio.to_thread(api.place.generation.files.get, job.images[0].file_sha256 or "")
    answer = await (await api.client(ADA)).post("/sdapi/v1/png-info", json={"image": encode(png)})
    assert answer.json()["info"] == repainted.info["infotexts"][0]
    assert answer.json()["parameters"]["Seed"] == str(repainted.info["seed"])


async def test_the_client_enlarges(api: Api) -> None:
    client = await connect(api)
    done = await ask(client.extra_single_image, Image.new("RGB", (64, 72), "red"), upscaling_resize=2)
    assert done.image.size == (128, 144)
    with pytest.raises(RuntimeError, match="`upscaling_resize` cannot be “1"):
        await ask(client.extra_single_image, Image.new("RGB", (64, 64)), upscaling_resize=1.5)
    with pytest.raises(RuntimeError, match="There is no upscaler named “4x-Sharp”"):
        await ask(client.extra_single_image, Image.new("RGB", (64, 64)), upscaler_1="4x-Sharp")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"sampler_name": "LMS"}, "`sampler_name` cannot be “LMS” here. /sdapi/v1/samplers lists those there are."),
    ({"scheduler": "beta"}, "`scheduler` cannot be “beta” here. /sdapi/v1/schedulers lists those there are."),
    ({"tiling": True}, "`tiling` cannot be “true” here. Leave it out."),
    ({"restore_faces": True}, "`restore_faces` cannot be “true” here. Leave it out."),
    ({"styles": ["Old film"]}, "`styles` cannot be “Old film” here. Write the words into the prompt."),
    ({"script_name": "X/Y/Z plot"}, "`script_name` cannot be “X/Y/Z plot” here. Leave it out."),
    (
        {"alwayson_scripts": {"ADetailer": {"args": [{"ad_model": "face"}]}}},
        "`alwayson_scripts` cannot be “ADetailer” here. Leave it out.",
    ),
    ({"enable_hr": True, "hr_resize_x": 1024}, "`hr_resize_x` cannot be “1024” here. Use hr_scale alone."),
]


@pytest.mark.parametrize(("more", "sentence"), REFUSED, ids=[next(iter(each[0])) for each in REFUSED])
def test_what_would_change_the_picture_is_refused_by_name(more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(NotSupportedError) as caught:
        read_asked(TextBody(**{"prompt": "a red circle", "sampler_name": "Euler", **more}), Session())
    assert str(caught.value) == sentence


def test_what_has_no_meaning_here_is_named() -> None:
    body = TextBody.model_validate(
        {
            "prompt": "x",
            "s_churn": 1,
            "eta": 1,
            "override_settings": {"sd_vae": "a.pt", "CLIP_stop_at_last_layers": 2},
            "alwayson_scripts": {"ADetailer": {"args": [False]}, "ControlNet": {"args": [{"enabled": False}]}},
        }
    )
    assert list_ignored(body) == ["override_settings.sd_vae", "s_churn"]
    assert read_asked(body, Session()).clip_skip == 2


def test_what_is_left_out_stays_open() -> None:
    asked = read_asked(TextBody.model_validate({"prompt": "x", "steps": None, "seed": None, "width": 128}), Session())
    assert (asked.steps, asked.guidance, asked.sampler, asked.seed, asked.count) == (None, None, None, None, 1)
    assert asked.size == "128x128"


def test_a_second_seed_and_a_second_pass_are_read() -> None:
    body = TextBody(prompt="x", subseed=3, subseed_strength=0.2, enable_hr=True, hr_scale=1.5, denoising_strength=0.7)
    asked = read_asked(body, Session(model="one"))
    assert (asked.model, asked.variation.seed, asked.hires.factor, asked.hires.strength) == ("one", 3, 1.5, 0.7)
    again = read_asked(TextBody(prompt="x", sampler_name="DPM++ 2M", scheduler="Karras"), Session())
    assert again.sampler == "DPM++ 2M Karras"


async def test_a_refusal_is_in_the_shape_of_the_web_ui(api: Api) -> None:
    client = await api.client(ADA)
    answer: httpx2.Response = await client.post("/sdapi/v1/txt2img", content=b"{", headers={"Content-Type": "text/x"})
    assert answer.status_code == 400 and set(answer.json()) == {"error", "detail", "body", "errors"}
    without = await api.with_key(None)
    answer = await without.get("/sdapi/v1/sd-models")
    assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Basic")
    assert json.loads(answer.text)["detail"].startswith("Send your key")
