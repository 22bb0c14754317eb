"""Pictures that are followed: units of the web UI's ControlNet, and `control` of our own API."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import webuiapi
from msgspec import UNSET
from PIL import Image

from api.a1111.controls import read_controls
from api.a1111.schemas import TextBody
from api.errors import ApiError
from db.stores.audit_log import Entry
from generation.models.catalog import Catalog
from generation.models.controls import ControlFile
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.requests.control import UNION, Control
from generation.requests.spec import ImageSpec
from tests.api.harness import ADA, Api
from tests.api.test_a1111 import ask, connect
from tests.api.test_jobs import SMALL, a_picture

PICTURE = base64.b64encode(a_picture(96, 64)).decode()
SIZE = {"width": 64, "height": 64, "steps": 5}
UNIT: dict[str, Any] = {"image": PICTURE, "module": "canny", "model": "edges [0123456789]", "weight": 0.8}


def offer_networks(api: Api) -> None:
    plain = ControlFile(name="edges", path=Path("edges"), sha256="a" * 64, family="sd")
    union = replace(plain, name="all", sha256="b" * 64, kind=UNION, num_modes=6)
    generation = api.services.generation
    models = (replace(each, controls=(plain, union)) for each in generation.catalog.models)
    generation.catalog = Catalog(tuple(models), controls=(plain, union))


def list_controls(spec: ImageSpec) -> tuple[Control, ...]:
    assert spec.control is not UNSET
    return spec.control


def with_units(*units: Any) -> dict[str, Any]:
    return {"prompt": "a red circle", **SIZE, "alwayson_scripts": {"ControlNet": {"args": list(units)}}}


async def test_units_of_the_web_ui_are_followed(api: Api) -> None:
    offer_networks(api)
    client = await api.client(ADA)
    second = {"input_image": PICTURE, "model": "all", "guidance_end": 0.5, "union_control_type": "OpenPose"}
    answer = await client.post("/sdapi/v1/txt2img", json=with_units(UNIT, second, {"enabled": False, "module": "x"}))
    assert answer.status_code == 200, answer.text
    assert PICTURE not in answer.text, "pictures that were sent are not sent back"
    job = await api.services.jobs.fetch_job(json.loads(answer.json()["info"])["job_id"])
    one, two = list_controls(job.images[0].spec)
    assert (one.network, one.preprocessor, one.strength, one.begin, one.end) == ("edges", "canny", 0.8, 0.0, 1.0)
    assert (two.network, two.preprocessor, two.mode, two.end) == ("all", "none", "pose", 0.5)
    assert job.is_from_upload and (job.images[0].spec.width_px, job.images[0].spec.height_px) == (64, 64)


async def test_a_unit_without_a_picture_follows_the_start(api: Api) -> None:
    offer_networks(api)
    client = await api.client(ADA)
    body = with_units({**UNIT, "image": None}) | {"init_images": [PICTURE], "subseed": 3, "subseed_strength": 0.2}
    answer = await client.post("/sdapi/v1/img2img", json=body)
    assert answer.status_code == 200, answer.text
    spec = (await api.services.jobs.fetch_job(json.loads(answer.json()["info"])["job_id"])).images[0].spec
    assert spec.start is not None and list_controls(spec)[0].sha256 == spec.start.sha256
    assert spec.variation is not None and spec.variation.strength == 0.2
    answer = await client.post("/sdapi/v1/txt2img", json=with_units({**UNIT, "image": None}))
    assert (answer.status_code, answer.json()["error"]) == (400, "no_picture")


async def test_the_client_s_units_are_followed(api: Api) -> None:
    """webuiapi sends all that a unit has, also what is as usual; in a default of its own, unless it has another."""
    offer_networks(api)
    client = await connect(api)
    picture = Image.new("RGB", (64, 64), "red")
    unit = webuiapi.ControlNetUnit(image=picture, module="canny", model="edges", weight=0.5)
    done = await ask(client.txt2img, prompt="a red circle", controlnet_units=[unit], alwayson_scripts={}, **SIZE)
    assert done.image.size == (64, 64)
    job = await api.services.jobs.fetch_job(done.info["job_id"])
    (one,) = list_controls(job.images[0].spec)
    assert (one.network, one.strength) == ("edges", 0.5)
    with pytest.raises(RuntimeError, match="resize_mode` cannot be “Resize and Fill” here"):
        unit.image = picture.resize((96, 64))
        await ask(client.txt2img, prompt="a red circle", controlnet_units=[unit], alwayson_scripts={}, **SIZE)
    assert await ask(client.controlnet_model_list) == ["edges", "all"]


async def test_our_own_api_follows_pictures_too(api: Api) -> None:
    offer_networks(api)
    client = await api.client(ADA)
    control = [{"picture": PICTURE, "net": "all", "preprocessor": "map:depth", "begin": 0.2}]
    answer = await client.post("/api/v1/jobs", json={"prompt": "a red circle", "steps": 5, "control": control})
    assert answer.status_code == 202, answer.text
    spec = (await api.services.generation.finished(answer.json()["id"])).images[0].spec
    assert (list_controls(spec)[0].mode, list_controls(spec)[0].begin) == ("depth", 0.2)
    assert spec.width_px > spec.height_px, "the picture's shape, for none was asked for"
    for odd in ({"net": "nothing"}, {"preprocessor": "magic"}, {"begin": 0.9, "end": 0.1}, {"strength": 5}):
        answer = await client.post("/api/v1/jobs", json=SMALL | {"control": [control[0] | odd]})
        assert answer.status_code == 400, (odd, answer.text)
    answer = await client.post("/api/v1/jobs", json=SMALL | {"control": control * 4})
    assert (answer.status_code, answer.json()["error"]) == (400, "too_many_controls")


async def test_a_picture_of_ours_lets_no_upload_through(api: Api) -> None:
    """Where a server lets only some roles start from pictures of their own, beside one that was painted here too."""
    offer_networks(api)
    client = await api.client(ADA)
    painted = (await client.post("/api/v1/jobs", json=SMALL)).json()["id"]
    await api.services.generation.finished(painted)
    chosen = GuildSettings(guild_id=ADA.guild_id, choices=GuildPreferences(start_image_role_ids=(7,)))
    await api.services.guild_policy.change_settings(ADA.guild_id, lambda _: chosen, Entry(1, "for a test"))
    ours = {"prompt": "a storm", "steps": 1, "start": {"job": painted}}
    followed = ours | {"control": [{"picture": PICTURE, "net": "edges"}]}
    answer = await client.post("/api/v1/jobs", json=followed)
    assert (answer.status_code, answer.json()["error"]) == (403, "no_start_image_role"), answer.text
    assert (await client.post("/api/v1/jobs", json=ours)).status_code == 202


async def test_clients_ask_what_there_is(api: Api) -> None:
    client, stranger = await api.client(ADA), await api.with_key(None)
    assert (await client.get("/sdapi/v1/scripts")).json()["txt2img"] == []
    offer_networks(api)
    assert (await client.get("/sdapi/v1/scripts")).json()["txt2img"] == ["controlnet"]
    assert (await client.get("/controlnet/version")).json() == {"version": 3}
    assert (await client.get("/controlnet/model_list")).json() == {"model_list": ["edges", "all"]}
    assert "canny" in (await client.get("/controlnet/module_list")).json()["module_list"]
    assert (await client.get("/controlnet/control_types")).json()["control_types"]["All"]["default_model"] == "edges"
    for path in ("version", "model_list", "module_list", "control_types"):
        assert (await stranger.get(f"/controlnet/{path}")).status_code == 401


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"module": "openpose_full"}, "`controlnet.module` cannot be “openpose_full” here. Send the map itself"),
    ({"model": "None"}, "`controlnet.model` cannot be “None” here. /controlnet/model_list"),
    ({"control_mode": "My prompt is more important"}, "`controlnet.control_mode` cannot be “My prompt"),
    ({"threshold_a": 50, "threshold_b": 60}, "`controlnet.threshold_a` cannot be “50, 60” here. Use 100 and 200."),
    ({"mask": PICTURE}, "`controlnet.mask` cannot be “a value” here. Leave it out."),
    ({"guessmode": True}, "`controlnet.guessmode` cannot be “true” here. Leave it out."),
    ({"image": {"image": PICTURE, "mask": PICTURE}}, "`controlnet.mask` cannot be"),
    ({"image": "GIF"}, "A picture must be base64"),
    ({"weight": "heavy"}, "controlnet.weight: Input should be a valid number"),
]


@pytest.mark.parametrize(("odd", "said"), REFUSED, ids=[next(iter(each[0])) for each in REFUSED])
def test_what_cannot_be_followed_exactly_is_refused_by_name(odd: dict[str, Any], said: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_controls(TextBody.model_validate(with_units(UNIT | odd)))
    assert said in str(caught.value)
