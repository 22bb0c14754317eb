"""Tools that write their settings as one flat JSON object, or as one text a setting.

InvokeAI, SwarmUI, Fooocus, NovelAI, Draw Things and Easy Diffusion name the same few things in a few ways.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from generation.images.interchange import foreign
from generation.images.interchange.foreign import MAX_LORAS, ForeignSettings
from generation.requests.sampler_names import find_sampler

Settings = Mapping[str, Any]

_PROMPT = ("positive_prompt", "prompt", "c")
_NEGATIVE = ("negative_prompt", "negativeprompt", "uc")
_STEPS = ("steps", "num_inference_steps")
_GUIDANCE = ("cfg_scale", "cfgscale", "guidance_scale", "scale")
_SIZE = ("size", "resolution")
_MODEL = ("model", "base_model", "use_stable_diffusion_model", "model_weights", "sd_model")
_SAMPLER = ("sampler", "sampler_name")
_SCHEDULE = ("scheduler", "noise_schedule", "schedule")
_EFFECTS = frozenset(
    (
        *("styles", "prompt_expansion", "presets", "positive_style_prompt", "negative_style_prompt", "char_captions"),
        *("refiner_model", "refinermodel", "refinercontrolpercentage", "hrf_enabled", "regions"),
        *("controlnets", "controlnetmodel", "use_controlnet_model", "ipAdapters", "t2iAdapters"),
        *("initimage", "init_image", "init_image_strength", "strength", "use_hypernetwork_model"),
    )
)
"""What changes a picture and is not read."""
_NOTHING: tuple[Any, ...] = (None, False, 0, "", "None", "none", "[]", [], {})


def read_flat(text: Mapping[str, str]) -> ForeignSettings | None:
    """Return the settings, or None if no such tool has written any."""
    for tool, find in _TOOLS.items():
        settings = find(text)
        if settings is not None:
            return _read(tool, settings)
    return None


def _read(tool: str, settings: Settings) -> ForeignSettings:
    sampler = _first(settings, (*_SAMPLER, *_SCHEDULE))
    schedule = _first(settings, _SCHEDULE) if _first(settings, _SAMPLER) is not None else None
    found = find_sampler(_text(sampler), schedule=_text(schedule))
    model = _first(settings, _MODEL)
    prompt, loras = foreign.words(_first(settings, _PROMPT)), _loras(settings)
    skipped = foreign.number(_first(settings, ("clip_skip", "clipskip", "clipstopatlayer")))
    return ForeignSettings(
        tool=tool,
        prompt=prompt,
        negative=foreign.words(_first(settings, _NEGATIVE)),
        steps=foreign.steps(_first(settings, _STEPS)),
        guidance=foreign.guidance(_first(settings, _GUIDANCE)),
        seed=foreign.seed(settings.get("seed")),
        size_px=foreign.size(settings.get("width"), settings.get("height")) or foreign.size_of(_first(settings, _SIZE)),
        sampler=found.sampler,
        sampler_there=foreign.name(sampler),
        model_there=foreign.name(model.get("name", model.get("model_name")) if isinstance(model, dict) else model),
        clip_skip=_CLIP_SKIP.get(tool, foreign.clip_skip)(skipped),
        loras=tuple(tag for tag in loras if tag is not None),
        unread=foreign.names(
            (
                *found.unread,
                *_effects(settings),
                *_note_syntax(tool, prompt),
                *("loras" for tag in loras if tag is None),
            )
        ),
    )


def _first(settings: Settings, keys: Iterable[str]) -> Any:
    return next((settings[key] for key in keys if settings.get(key) is not None), None)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _effects(settings: Settings) -> list[str]:
    return [key for key, value in settings.items() if key in _EFFECTS and value not in _NOTHING]


def _note_syntax(tool: str, prompt: str) -> list[str]:
    """Note NovelAI's weights (braces, brackets and `1.2::word::`), which are read another way here."""
    return ["{ } [ ] ::"] if tool == "NovelAI" and re.search(r"[{}\[\]]|::", prompt) else []


_CLIP_SKIP: Mapping[str, Callable[[Any], int | None]] = {
    "InvokeAI": lambda value: None if value is None else foreign.clip_skip(value + 1),  # layers left out
    "SwarmUI": lambda value: None if value is None else foreign.clip_skip(-value),
}


def _loras(settings: Settings) -> list[str | None]:
    """Return those that are named beside the prompt; None for each that has no weight."""
    found = settings.get("loras", settings.get("use_lora_model"))
    weights = settings.get("loraweights", settings.get("lora_alpha"))
    if isinstance(found, str):
        found = [each.strip() for each in found.split(",") if each.strip()]
    if not isinstance(found, list):
        return []
    if not isinstance(weights, list):
        weights = str(weights).split(",") if weights is not None else []
    return [_lora(each, weights[at] if at < len(weights) else None) for at, each in enumerate(found[:MAX_LORAS])]


def _lora(each: Any, weight: Any) -> str | None:
    if isinstance(each, list) and len(each) >= 2:
        return foreign.lora(each[0], each[1])
    if isinstance(each, dict):
        model = each.get("model", each.get("lora"))
        called = model.get("name", model.get("model_name")) if isinstance(model, dict) else each.get("name")
        return foreign.lora(called, each.get("weight"))
    return foreign.lora(each, weight)


# Where each tool puts them.


def _parse_object(text: Mapping[str, str], *keywords: str) -> dict[str, Any]:
    for keyword in keywords:
        found = foreign.parsed(text.get(keyword))
        if isinstance(found, dict):
            return found
    return {}


def _read_invokeai(text: Mapping[str, str]) -> Settings | None:
    now = _parse_object(text, "invokeai_metadata")
    if "positive_prompt" in now:
        return now
    earlier = _parse_object(text, "sd-metadata")
    image = earlier.get("image")
    if not isinstance(image, dict):
        return {} if text.get("Dream") else None
    prompt = image.get("prompt")
    if isinstance(prompt, list):
        only = prompt[0] if len(prompt) == 1 and isinstance(prompt[0], dict) else {}
        prompt = only.get("prompt")
    return {**earlier, **image, "prompt": prompt}


def _read_swarm(text: Mapping[str, str]) -> Settings | None:
    settings = _parse_object(text, "parameters").get("sui_image_params")
    return settings if isinstance(settings, dict) else None


def _read_fooocus(text: Mapping[str, str]) -> Settings | None:
    settings = _parse_object(text, "parameters", "Comment")
    is_theirs = "fooocus" in str(text.get("fooocus_scheme", settings.get("metadata_scheme", ""))).casefold()
    return settings if settings and (is_theirs or "base_model_hash" in settings) else None


def _read_novelai(text: Mapping[str, str]) -> Settings | None:
    settings = _parse_object(text, "Comment", "parameters")
    if text.get("Software") != "NovelAI" and not ("uc" in settings and "sampler" in settings and "c" not in settings):
        return None
    caption = settings.get("v4_prompt")
    caption = caption.get("caption") if isinstance(caption, dict) else None
    others = caption.get("char_captions") if isinstance(caption, dict) else None
    return {"prompt": text.get("Description"), **settings, "char_captions": others}


def _draw_things(text: Mapping[str, str]) -> Settings | None:
    settings = _parse_object(text, "parameters")
    return settings if {"c", "uc"} <= settings.keys() else None


def _read_easy_diffusion(text: Mapping[str, str]) -> Settings | None:
    settings = text if "num_inference_steps" in text else _parse_object(text, "parameters")
    return settings if {"prompt", "num_inference_steps"} <= settings.keys() else None


def _read_midjourney(text: Mapping[str, str]) -> Settings | None:
    """Return the settings of Midjourney, whose words hold options for a model of its own."""
    return {} if "Job ID:" in text.get("Description", "") else None


_TOOLS: Mapping[str, Callable[[Mapping[str, str]], Settings | None]] = {
    "InvokeAI": _read_invokeai,
    "SwarmUI": _read_swarm,
    "Fooocus": _read_fooocus,
    "NovelAI": _read_novelai,
    "Draw Things": _draw_things,
    "Easy Diffusion": _read_easy_diffusion,
    "Midjourney": _read_midjourney,
}
