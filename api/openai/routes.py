"""`/v1`: OpenAI's images API."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request

from api.admission import Accepted, Asked, Finish, submit
from api.context import ApiContext
from api.dialect import MIB, Dialect, get_caller, get_context
from api.errors import ErrorReply, NoPictureError, NotSupportedError
from api.models import fetch_models
from api.openai.schemas import (
    DEFAULT_MODEL,
    FOREIGN_MODELS,
    Asking,
    EditForm,
    GenerateBody,
    ImageData,
    Images,
    ModelCard,
    Models,
)
from api.pictures import Picture, read_pictures
from api.uploads import Upload, edit_pictures, start_from
from api.waiting import wait_for_end
from generation.admission.typed import Typed
from generation.errors import UnknownModelError
from generation.images.codec import MAX_UPLOAD_BYTES
from generation.images.colours import Reading
from generation.images.loans import Loans
from generation.jobs.job import Job
from generation.models.editing import can_edit
from generation.owner import Owner
from generation.requests.errors import TooManyReferencesError
from generation.requests.references import MAX_REFERENCES
from generation.requests.spec import GenerationRequest

MAX_FORM_BYTES = MAX_REFERENCES * MAX_UPLOAD_BYTES + MIB
"""As many pictures as are edited at once."""
_STRENGTH = 0.8
"""How much of a picture may change that is painted over, where nothing is said."""
router = APIRouter(tags=["OpenAI"])
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


@router.post("/images/generations")
async def generate_images(request: Request, body: GenerateBody) -> Images:
    """Paint pictures from words, and answer with them when they are done."""
    context, caller = get_context(request), get_caller(request)
    require_supported(body.response_format, body.output_format, body.background, is_stream=bool(body.stream))
    accepted = await submit(context, caller, read_asked(body))
    job = await wait_for_end(context, request, accepted.job.id)
    return build_images(accepted, job, await read_pictures(context, job))


@router.post("/images/edits")
async def edit_image(request: Request, form: Annotated[EditForm, Form()]) -> Images:
    """Edit pictures as the prompt says, if the model can; else paint over one, or what is transparent in its mask."""
    context, caller = get_context(request), get_caller(request)
    require_supported(form.response_format, form.output_format, form.background, is_stream=bool(form.stream))
    start = _begin(context, caller.owner, await _read_pictures(form), await _read_mask(form), form.strength)
    accepted = await submit(context, caller, read_asked(form), start)
    job = await wait_for_end(context, request, accepted.job.id)
    return build_images(accepted, job, await read_pictures(context, job))


def _begin(
    context: ApiContext, owner: Owner, pictures: list[Upload], mask: Upload | None, strength: float | None
) -> Finish:
    """Return what makes the request: an edit by instruction if nothing but that is asked for and the model can."""
    first = pictures[0]
    paints_over = mask is not None or strength is not None
    if paints_over and len(pictures) > 1:
        raise NotSupportedError(name="image", value=f"{len(pictures)} pictures", remedy="Send one.")
    edit = edit_pictures(context, owner, pictures)
    start = start_from(context, owner, first, mask, strength=_STRENGTH if strength is None else strength)

    async def finish(typed: Typed, loans: Loans) -> tuple[GenerationRequest, Collection[str]]:
        edits = not paints_over and (can_edit(typed.model) or len(pictures) > 1)
        return await (edit if edits else start)(typed, loans)

    return finish


async def _read_pictures(form: EditForm) -> list[Upload]:
    files = [*form.image, *form.images]
    if not files:
        raise NoPictureError
    if len(files) > MAX_REFERENCES:
        raise TooManyReferencesError(most=MAX_REFERENCES, number=len(files))
    return [Upload(await each.read()) for each in files]


async def _read_mask(form: EditForm) -> Upload | None:
    return None if form.mask is None else Upload(await form.mask.read(), Reading.HOLES)


@router.get("/models")
async def list_models(request: Request) -> Models:
    """Name the models that this key may use."""
    models = await fetch_models(get_context(request), get_caller(request))
    return Models(data=[ModelCard(id=each.name, created=0) for each in models])


@router.get("/models/{name:path}")
async def show_model(request: Request, name: str) -> ModelCard:
    """Show one model."""
    models = await list_models(request)
    found = next((each for each in models.data if each.id == name), None)
    if found is None:
        raise UnknownModelError(model=name[:60], available=", ".join(each.id for each in models.data))
    return found


def require_supported(
    response_format: str | None, output_format: str | None, background: str | None, *, is_stream: bool
) -> None:
    """Raise `NotSupportedError` for what would change the answer and cannot be done."""
    if response_format not in (None, "b64_json"):
        raise NotSupportedError(name="response_format", value=response_format, remedy="Use b64_json.")
    if output_format not in (None, "png"):
        raise NotSupportedError(name="output_format", value=output_format, remedy="Use png.")
    if background not in (None, "auto", "opaque"):
        raise NotSupportedError(name="background", value=background, remedy="Use opaque.")
    if is_stream:
        raise NotSupportedError(name="stream", value="true", remedy="Follow a job at /api/v1/jobs instead.")


def read_model(name: str | None) -> str | None:
    """Return the model that is named, None where the name is only a client's default."""
    return None if name is None or name == DEFAULT_MODEL or name.startswith(FOREIGN_MODELS) else name


def read_size(size: str | None) -> str | None:
    return None if size in (None, "", "auto") else size


def read_asked(body: Asking) -> Asked:
    return Asked(
        prompt=body.prompt,
        negative=body.negative_prompt,
        model=read_model(body.model),
        count=body.n,
        size=read_size(body.size),
        seed=body.seed,
        steps=body.steps,
        guidance=body.guidance,
        sampler=body.sampler,
        lora=body.lora,
        clip_skip=body.clip_skip,
    )


def build_images(accepted: Accepted, job: Job, pictures: list[Picture]) -> Images:
    """Return the answer with the pictures of a job."""
    width, height = job.request.spec.result_size_px
    return Images(
        created=int(job.created_at.timestamp()),
        data=[ImageData(b64_json=base64.b64encode(each.png).decode()) for each in pictures],
        size=f"{width}x{height}",
        job_id=job.id,
        seeds=[each.image.spec.seed for each in pictures],
        warnings=accepted.list_warnings(),
    )


def write_error(reply: ErrorReply) -> Mapping[str, Any]:
    kind = _TYPES.get(reply.status, "invalid_request_error" if reply.status < 500 else "server_error")
    code = "content_policy_violation" if reply.is_content else reply.code
    return {"error": {"message": reply.message, "type": kind, "param": reply.param, "code": code}}


OPENAI = Dialect(
    name="openai", prefix="/v1", router=router, write_error=write_error, large_bodies={"/images/edits": MAX_FORM_BYTES}
)
