"""Units of the web UI's ControlNet: what can be said exactly is painted, the rest is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.a1111.asked import LEAVE_OUT, read_model
from api.a1111.lists import find_model
from api.a1111.schemas import PaintBody
from api.controls import Followed
from api.dialect import get_caller
from api.errors import NoPictureError, NotSupportedError, UnreadableBodyError
from api.uploads import read_base64
from generation.admission.guide import MAP, Guide
from generation.requests.control import NONE, PREPROCESSORS

VERSION = 3
"""Of the extension's API, which clients ask for."""
SCRIPT = "controlnet"
_OURS = {NONE: NONE, "canny": "canny", "lineart": "lineart", "softedge": "softedge", "invert": "invert"}
MODULES = {**_OURS, "invert (from white bg & black line)": "invert"}
"""What makes the like of it here. Trained networks, such as depth and openpose, are not here: send their map."""
_UNIONS = {
    "openpose": "pose",
    "depth": "depth",
    "soft edge": "softedge",
    "hard edge": "lines",
    "normal map": "normal",
    "segmentation": "segments",
    "tile": "tile",
}
_CROPS = (None, 1, "Crop and Resize", "Inner Fit (Scale to Fit)", "Scale to Fit (Inner Fit)")
_BALANCED = (None, 0, "Balanced")
_THRESHOLDS = ((-1, -1), (64, 64), (100, 200))
"""The extension's defaults, then and now, and those of our edges."""
_MAP_REMEDY = "Send the map itself with module “none”, or use one of /controlnet/module_list."
_WITHOUT = ("mask", "mask_image", "effective_region_mask", "guessmode", "loopback", "batch_images")


class Unit(BaseModel):
    """One unit. What makes no difference here is ignored: memory, resolution of the map, which pictures are kept."""

    model_config = ConfigDict(extra="allow")

    enabled: bool = True
    image: str | dict[str, Any] | None = None
    input_image: str | None = None
    """The older name of `image`."""
    module: str | None = Field(None, max_length=200)
    model: str | None = Field(None, max_length=200)
    weight: float | None = None
    guidance_start: float | None = None
    guidance_end: float | None = None
    threshold_a: float | None = None
    threshold_b: float | None = None
    resize_mode: int | str | None = None
    control_mode: int | str | None = None
    union_control_type: str | None = Field(None, max_length=60)


def read_controls(body: PaintBody, start: str | None = None) -> list[Followed]:
    """Return what the units of a request follow; one without a picture follows `start`. Raise `ApiError`."""
    units = list[Followed]()
    for name, script in (body.alwayson_scripts or {}).items():
        if name.lower() == SCRIPT:
            units += [_read(unit, start) for unit in _list_units(script) if unit.enabled]
    return units


def _list_units(script: Any) -> list[Unit]:
    args = script.get("args") if isinstance(script, Mapping) else script
    said = [each for each in (args if isinstance(args, list) else [args]) if isinstance(each, Mapping)]
    try:
        return [Unit.model_validate(each) for each in said]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UnreadableBodyError(reason=f"{SCRIPT}.{where}: {first['msg']}"[:200]) from None


def _read(unit: Unit, start: str | None) -> Followed:
    _require_exact(unit)
    image = unit.image.get("image") if isinstance(unit.image, dict) else unit.image
    picture = image or unit.input_image or start
    if not isinstance(picture, str):
        raise NoPictureError
    network = read_model(unit.model)
    if network is None or network.lower() == NONE:
        raise _refuse("model", unit.model, "/controlnet/model_list lists those there are.")
    guide = Guide(
        network=network,
        preparation=_read_preparation(unit),
        strength=1.0 if unit.weight is None else unit.weight,
        begin=unit.guidance_start or 0.0,
        end=1.0 if unit.guidance_end is None else unit.guidance_end,
    )
    crops = unit.resize_mode in _CROPS
    stretched = _refuse("resize_mode", unit.resize_mode, "Use 1, which crops, or send a picture of the shape painted.")
    return Followed(picture=read_base64(picture), guide=guide, if_cropped=None if crops else stretched)


def _require_exact(unit: Unit) -> None:
    """Raise `NotSupportedError` for what would change the picture and is not there."""
    for name in _WITHOUT:
        if (said := (unit.model_extra or {}).get(name)) not in (None, False, "", [], {}):
            raise _refuse(name, "true" if said is True else "a value", LEAVE_OUT)
    if isinstance(unit.image, dict) and unit.image.get("mask"):
        raise _refuse("mask", "a value", LEAVE_OUT)
    if unit.control_mode not in _BALANCED:
        raise _refuse("control_mode", unit.control_mode, "Use 0, which is balanced.")


def _read_preparation(unit: Unit) -> str:
    module = (unit.module or NONE).lower()
    if module not in MODULES:
        raise _refuse("module", unit.module, _MAP_REMEDY)
    made = MODULES[module]
    said = tuple(-1 if each is None else each for each in (unit.threshold_a, unit.threshold_b))
    if made == "canny" and said not in _THRESHOLDS:
        raise _refuse("threshold_a", "{:g}, {:g}".format(*said), "Use 100 and 200.")
    mode = _UNIONS.get((unit.union_control_type or "").lower())
    return MAP + mode if made == NONE and mode is not None else made


def _refuse(name: str, value: Any, remedy: str) -> NotSupportedError:
    return NotSupportedError(name=f"{SCRIPT}.{name}", value=str(value)[:60], remedy=remedy)


router = APIRouter()


@router.get("/version")
async def show_version(request: Request) -> dict[str, int]:
    """Say which API of the extension this is."""
    get_caller(request)
    return {"version": VERSION}


@router.get("/model_list")
async def list_networks(request: Request) -> dict[str, list[str]]:
    """Name the ControlNets that fit the model in use."""
    return {"model_list": [each.name for each in (await find_model(request)).controls]}


@router.get("/module_list")
async def list_modules(request: Request) -> dict[str, list[str]]:
    """Name what can be made of a picture first."""
    get_caller(request)
    return {"module_list": list(PREPROCESSORS)}


@router.get("/control_types")
async def list_types(request: Request) -> dict[str, dict[str, Any]]:
    """Put all of them into one kind: which fits which is the choice of the one who asks."""
    networks, modules = (await list_networks(request))["model_list"], list(PREPROCESSORS)
    named = {"module_list": modules, "model_list": ["None", *networks], "default_option": NONE}
    return {"control_types": {"All": named | {"default_model": networks[0] if networks else "None"}}}
