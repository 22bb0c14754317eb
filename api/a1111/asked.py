"""Reads what the web UI's clients send: what Atelier has, what it has not and refuses, and what has no meaning here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from api.a1111.schemas import ExtraBody, ImageBody, PaintBody, TextBody
from api.a1111.sessions import Session
from api.admission import Asked
from api.errors import NotSupportedError, UnreadableBodyError
from generation.requests.edits import Hires, Variation
from generation.requests.ranges import MAX_CLIP_SKIP
from generation.requests.sampler_names import find_sampler
from generation.requests.seeds import draw_seed

_TITLE = re.compile(r"\s*\[[0-9a-fA-F]{6,64}\]\s*$")
_FILE = re.compile(r"\.(safetensors|ckpt)$", re.IGNORECASE)
_MODEL, _CLIP_SKIP = "sd_model_checkpoint", "CLIP_stop_at_last_layers"
_PICTURES = {"init_images", "mask", "alwayson_scripts"}
LEAVE_OUT = "Leave it out."
HARMLESS = frozenset(
    (
        "do_not_save_samples",
        "do_not_save_grid",
        "save_images",
        "override_settings_restore_afterwards",
        "include_init_images",
        "script_args",
        "eta",
        "s_noise",
        "hr_upscaler",
        "hr_second_pass_steps",
        "firstphase_width",
        "firstphase_height",
    )
)
"""What clients always send, and what makes no difference."""
_NOTHING = (None, "", 0, 0.0, -1, False, "None")


def read_asked(body: PaintBody, session: Session) -> Asked:
    """Return what is asked for. Raise `NotSupportedError` for what would change the picture and is not there."""
    require_supported(body)
    override = body.override_settings or {}
    return Asked(
        prompt=body.prompt or "",
        negative=body.negative_prompt or None,
        model=read_model(override.get(_MODEL)) or session.model,
        count=max(1, body.batch_size or 1) * max(1, body.n_iter or 1),
        size=_read_size(body),
        seed=_read_seed(body.seed),
        steps=body.steps,
        guidance=body.cfg_scale,
        sampler=read_sampler(body.sampler_name or body.sampler_index, body.scheduler),
        clip_skip=read_clip_skip(override.get(_CLIP_SKIP)) or session.clip_skip,
        variation=_read_variation(body),
        hires=_read_hires(body) if isinstance(body, TextBody) else None,
    )


def require_supported(body: PaintBody) -> None:
    """Raise `NotSupportedError` for what would change the picture and is not there."""
    for name in ("restore_faces", "tiling"):
        if getattr(body, name):
            raise NotSupportedError(name=name, value="true", remedy=LEAVE_OUT)
    if body.styles:
        raise NotSupportedError(name="styles", value=body.styles[0][:60], remedy="Write the words into the prompt.")
    if body.script_name not in _NOTHING:
        raise NotSupportedError(name="script_name", value=body.script_name, remedy=LEAVE_OUT)
    for name, script in (body.alwayson_scripts or {}).items():
        if name.lower() != "controlnet" and _is_active(script):
            raise NotSupportedError(name="alwayson_scripts", value=name[:60], remedy=LEAVE_OUT)
    if isinstance(body, ImageBody) and body.inpainting_mask_invert:
        raise NotSupportedError(name="inpainting_mask_invert", value=1, remedy="Send the mask inverted.")
    if isinstance(body, ImageBody) and (body.resize_mode or 0) > 1:
        raise NotSupportedError(name="resize_mode", value=body.resize_mode, remedy="Use 1, which crops.")


def _is_active(script: Any) -> bool:
    """Return whether a script has an argument that says more than that it is off."""
    args = script.get("args") if isinstance(script, Mapping) else script
    values = args if isinstance(args, list) else [args]
    if any(isinstance(each, Mapping) and each.get("enabled", each.get("enable")) is False for each in values):
        return False
    return any(each not in _NOTHING and each != {} for each in values)


def read_model(name: Any) -> str | None:
    """Return a model's name out of a title (`name.safetensors [0123456789]`); None for none."""
    if not isinstance(name, str) or not name.strip():
        return None
    return _FILE.sub("", _TITLE.sub("", name).strip())


def read_clip_skip(said: Any) -> int | None:
    """Return which layer is listened to, counted from the end; None for the last, which is everyone's default.

    Raise `NotSupportedError`.
    """
    if not isinstance(said, int | float) or not said > 1:
        return None
    if said > MAX_CLIP_SKIP:
        raise NotSupportedError(name=_CLIP_SKIP, value=str(said)[:20], remedy=f"Use 1 to {MAX_CLIP_SKIP}.")
    return int(said)


def read_sampler(name: str | None, schedule: str | None) -> str | None:
    """Return our sampler for the web UI's with its schedule. Raise `NotSupportedError`."""
    if not name:
        return None
    found = find_sampler(name, schedule=schedule)
    if found.sampler is None:
        raise NotSupportedError(name="sampler_name", value=name, remedy="/sdapi/v1/samplers lists those there are.")
    if found.unread:
        raise NotSupportedError(
            name="scheduler", value=schedule or name, remedy="/sdapi/v1/schedulers lists those there are."
        )
    return found.sampler


def list_ignored(body: PaintBody | ExtraBody) -> list[str]:
    """Return the names of what was sent and has no meaning here."""
    known = {_MODEL, _CLIP_SKIP}
    extra = {name for name, value in (body.model_extra or {}).items() if not _is_nothing(value)} - HARMLESS
    override = body.override_settings if isinstance(body, PaintBody) and body.override_settings else {}
    return sorted(extra | {f"override_settings.{name}" for name in override if name not in known})


def read_parameters(body: PaintBody) -> dict[str, Any]:
    """Return the request as the answer repeats it, without pictures. Raise `UnreadableBodyError` where that cannot be:
    nothing is painted for an answer that cannot be written."""
    try:
        said = body.model_dump_json(exclude=_PICTURES)
    except ValueError:
        raise UnreadableBodyError(reason="it holds what cannot be written back") from None
    parameters: dict[str, Any] = json.loads(said)
    return parameters


def _is_nothing(value: Any) -> bool:
    return value in _NOTHING or value in ([], {})


def _read_size(body: PaintBody) -> str | None:
    width, height = body.width or body.height, body.height or body.width
    return f"{width}x{height}" if width else None


def _read_seed(seed: int | None) -> int | None:
    return None if seed is None or seed < 0 else seed


def _read_variation(body: PaintBody) -> Variation | None:
    if not body.subseed_strength:
        return None
    seed = _read_seed(body.subseed)
    return Variation(seed=draw_seed() if seed is None else seed, strength=body.subseed_strength)


def _read_hires(body: TextBody) -> Hires | None:
    if not body.enable_hr:
        return None
    for name in ("hr_resize_x", "hr_resize_y", "hr_prompt", "hr_checkpoint_name"):
        value = getattr(body, name)
        if value not in _NOTHING and value != "Use same checkpoint":
            raise NotSupportedError(name=name, value=str(value)[:60], remedy="Use hr_scale alone.")
    strength = Hires().strength if body.denoising_strength is None else body.denoising_strength
    return Hires(factor=body.hr_scale or 2.0, strength=strength)
