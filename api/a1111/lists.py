"""`/sdapi/v1`: what there is to choose from, and the options of a key."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from api.a1111.asked import read_clip_skip, read_model
from api.a1111.sessions import get_session
from api.dialect import get_caller, get_context
from api.models import fetch_models
from generation.errors import UnknownModelError
from generation.models.catalog import Model
from generation.requests.prompt_addons import PromptAddon

router = APIRouter()
Cards = list[dict[str, Any]]
_SCHEDULES = {"automatic": "Automatic", "uniform": "Uniform", "karras": "Karras", "sgm_uniform": "SGM Uniform"}


async def find_model(request: Request, name: str | None = None) -> Model:
    """Return the model of that name, else of the key's options, else the first. Raise `UnknownModelError`."""
    models = await fetch_models(get_context(request), get_caller(request))
    name = name or get_session(request).model
    found = next((each for each in models if name in (None, each.name)), None)
    if found is None:
        raise UnknownModelError(model=(name or "")[:60], available=", ".join(each.name for each in models))
    return found


@router.get("/sd-models")
async def list_models(request: Request) -> Cards:
    """Name the models that this key may use."""
    return [_build_model(each) for each in await fetch_models(get_context(request), get_caller(request))]


def _build_model(model: Model) -> dict[str, Any]:
    sha256 = model.file_sha256 or None
    short = sha256[:10] if sha256 else None
    title = f"{model.name} [{short}]" if short else model.name
    return {
        "title": title,
        "model_name": model.name,
        "hash": short,
        "sha256": sha256,
        "filename": model.name,
        "config": None,
    }


@router.get("/samplers")
async def list_samplers(request: Request) -> Cards:
    """Name the samplers of the model in use."""
    model = await find_model(request)
    return [{"name": each, "aliases": [], "options": {}} for each in model.samplers]


@router.get("/schedulers")
async def list_schedulers() -> Cards:
    """Name the schedules that can stand beside a sampler."""
    more = {"aliases": None, "default_rho": -1.0, "need_inner_model": False}
    return [{"name": name, "label": label, **more} for name, label in _SCHEDULES.items()]


@router.get("/loras")
async def list_loras(request: Request) -> Cards:
    """Name the LoRA of the model in use; write them into the prompt as `<lora:name:0.8>`."""
    return [_build_lora(each) for each in (await find_model(request)).loras]


def _build_lora(lora: PromptAddon) -> dict[str, Any]:
    words = dict.fromkeys(lora.trigger_words, 1)
    metadata = {"ss_tag_frequency": {"": words}} if words else {}
    return {"name": lora.name, "alias": lora.name, "path": lora.name, "metadata": metadata}


@router.get("/embeddings")
async def list_embeddings(request: Request) -> dict[str, dict[str, Any]]:
    """Name the learned words of the model in use."""
    model = await find_model(request)
    shown = {each.name: {"step": None, "sd_checkpoint": None, "sd_checkpoint_name": None} for each in model.embeddings}
    return {"loaded": shown, "skipped": {}}


@router.get("/upscalers")
async def list_upscalers(request: Request) -> Cards:
    """Name what enlarges pictures; “None” is what the model itself has."""
    model = await find_model(request)
    named = [("None", 2), *((each.name, each.scale) for each in model.upscalers)]
    nothing = {"model_name": None, "model_path": None, "model_url": None}
    return [{"name": name, "scale": scale, **nothing} for name, scale in named]


@router.get("/options")
async def show_options(request: Request) -> dict[str, Any]:
    """Show the options of this key."""
    model, session = await find_model(request), get_session(request)
    return {
        "sd_model_checkpoint": _build_model(model)["title"],
        "sd_checkpoint_hash": model.file_sha256,
        "CLIP_stop_at_last_layers": session.clip_skip or 1,
        "samples_format": "png",
    }


@router.post("/options")
async def set_options(request: Request, options: dict[str, Any]) -> None:
    """Choose the model and the clip skip of later requests of this key. Other options are taken and ignored."""
    session = get_session(request)
    if "sd_model_checkpoint" in options:
        name = read_model(options["sd_model_checkpoint"])
        session.model = None if name is None else (await find_model(request, name)).name
    if "CLIP_stop_at_last_layers" in options:
        session.clip_skip = read_clip_skip(options["CLIP_stop_at_last_layers"])


@router.get("/scripts")
async def list_scripts(request: Request) -> dict[str, list[str]]:
    """Name the scripts: ControlNet, where one fits the model in use."""
    there = ["controlnet"] if (await find_model(request)).controls else []
    return {"txt2img": there, "img2img": there}


@router.get("/prompt-styles")
@router.get("/face-restorers")
@router.get("/hypernetworks")
@router.get("/sd-vae")
async def list_nothing() -> Cards:
    """List what Atelier has not, or decides by itself: clients ask when they connect."""
    return []


@router.get("/cmd-flags")
async def show_flags() -> dict[str, Any]:
    """Show the flags of the program: none that concerns a client."""
    return {}


@router.post("/refresh-checkpoints")
@router.post("/refresh-loras")
async def refresh() -> None:
    """Look for new models: Atelier does so by itself."""
