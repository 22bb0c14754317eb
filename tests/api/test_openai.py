"""OpenAI's own client paints through the API."""

from __future__ import annotations

import base64
import io

import openai
import pytest
from PIL import Image

from cli.api import LOCAL
from generation.images.codec import decode_png
from generation.images.metadata import read_recipe
from generation.jobs.history import HistoryFilter
from tests.api.harness import ADA, Api
from tests.patience import PATIENCE_S


async def connect(api: Api, owner: object = LOCAL) -> openai.AsyncOpenAI:
    key = await api.services.api_keys.create(owner, "openai")  # type: ignore[arg-type]
    client = openai.AsyncOpenAI(api_key=key, base_url=f"{api.url}/v1", max_retries=0, timeout=PATIENCE_S)
    return await api.stack.enter_async_context(client)


async def test_openais_client_paints(api: Api) -> None:
    client = await connect(api, ADA)
    answer = await client.images.generate(
        model="gpt-image-1",
        prompt="a red circle",
        n=2,
        size="64x64",
        extra_body={"seed": 7, "steps": 5},  # type: ignore[arg-type]
    )
    assert answer.data is not None and len(answer.data) == 2
    png = base64.b64decode(answer.data[0].b64_json or "")
    assert decode_png(png)[1] == (64, 64)
    recipe = read_recipe(png)
    assert (recipe.spec.prompt, recipe.spec.seed, recipe.spec.steps) == ("a red circle", 7, 5)
    past = await api.services.history.fetch_page(ADA, HistoryFilter(), limit=5)
    assert [job.id for job in past] == [answer.model_extra["job_id"]]
    assert await api.services.deliveries.fetch_due() == []


async def test_openais_client_lists_models_and_reads_errors(api: Api) -> None:
    client = await connect(api)
    assert [each.id async for each in client.models.list()] == ["paintbox"]
    assert (await client.models.retrieve("paintbox")).id == "paintbox"
    with pytest.raises(openai.NotFoundError, match="There is no model named “nothing”"):
        await client.images.generate(model="nothing", prompt="a red circle")
    with pytest.raises(openai.BadRequestError, match="Use b64_json"):
        await client.images.generate(prompt="a red circle", response_format="url")
    with pytest.raises(openai.BadRequestError, match="The width and height must each be"):
        await client.images.generate(prompt="a red circle", size="7x0")  # type: ignore[call-overload]
    wrong = client.with_options(api_key="atl_wrong")
    with pytest.raises(openai.AuthenticationError, match="opens nothing"):
        await wrong.models.list()


async def test_openais_client_edits_what_is_transparent_in_the_mask(api: Api) -> None:
    client = await connect(api, ADA)
    picture, mask = Image.new("RGB", (96, 64), "white"), Image.new("RGBA", (96, 64), "white")
    mask.paste((0, 0, 0, 0), (0, 0, 48, 64))
    answer = await client.images.edit(
        image=("a.png", as_png(picture), "image/png"),
        mask=("mask.png", as_png(mask), "image/png"),
        prompt="a red circle",
        size="64x64",  # type: ignore[arg-type]
        extra_body={"strength": 0.5, "steps": 5},
    )
    assert answer.data is not None and len(answer.data) == 1
    job = await api.services.jobs.fetch_job(answer.model_extra["job_id"])
    start = job.images[0].spec.start
    assert start is not None and (start.strength, job.is_from_upload) == (0.5, True)
    white = Image.open(io.BytesIO(api.services.generation.files.get(start.mask_sha256 or "") or b"")).convert("L")
    assert (white.getpixel((8, 32)), white.getpixel((56, 32))) == (255, 0)
    with pytest.raises(openai.BadRequestError, match="as large as the picture, 96 x 64"):
        small = as_png(Image.new("RGBA", (64, 64)))
        await client.images.edit(image=as_png(picture), mask=small, prompt="a red circle")


def as_png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
