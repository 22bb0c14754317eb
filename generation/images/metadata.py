"""Text chunks of our PNGs: the A1111 `parameters` line that other tools read, and our own recipe.

Nothing here depends on a clock, a job or chance, so the same picture is the same file.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET

from generation.images.codec import encode_png, read_png_text
from generation.images.errors import NoRecipeError
from generation.images.iptc import build_xmp
from generation.requests.errors import RecipeUnusableError
from generation.requests.recipe import Recipe
from generation.requests.spec import ImageSpec

RECIPE_KEYWORD = "atelier"
PARAMETERS_KEYWORD = "parameters"
MODEL_DIGITS, EXTRA_DIGITS = 10, 12
"""How much of a SHA-256 the web UI writes of a model's file, and of that of a LoRA or a learned word."""
MAX_RECIPE_CHARS = 1 << 16
"""Several times our longest, so that an untrusted text is never handed on at any length."""


def sign_png(pixels: bytes, size_px: tuple[int, int], recipe: Recipe) -> bytes:
    """Return the finished file: pixels, parameters line, recipe, and (as XMP) that a machine made it."""
    text = {PARAMETERS_KEYWORD: format_parameters(recipe), RECIPE_KEYWORD: recipe.to_json()}
    return encode_png(pixels, size_px, text=text, xmp=build_xmp(recipe))


def read_recipe(png: bytes) -> Recipe:
    """Return the recipe that a PNG of ours carries. Raise `InvalidRequestError` if there is none, or it is not ours."""
    return recipe_in(read_png_text(png))


def recipe_in(text: Mapping[str, str]) -> Recipe:
    """Return the recipe among text chunks that are read already, by keyword.

    Raise `InvalidRequestError` as `read_recipe`.
    """
    written = text.get(RECIPE_KEYWORD)
    if written is None:
        raise NoRecipeError
    try:
        if len(written) > MAX_RECIPE_CHARS:
            raise ValueError("no recipe of ours is so long")
        return Recipe.from_json(written)
    except (ValueError, RecursionError):
        raise RecipeUnusableError from None


def format_parameters(recipe: Recipe) -> str:
    """Return the settings as AUTOMATIC1111 writes them: prompt, negative prompt, then one line of `key: value`."""
    spec = recipe.spec
    lines = [_strip_newlines(spec.written)]
    if spec.negative:
        lines.append(f"Negative prompt: {_strip_newlines(spec.negative)}")
    lines.append(", ".join(f"{key}: {value}" for key, value in _settings(spec, recipe).items()))
    return "\n".join(lines)


def _settings(spec: ImageSpec, recipe: Recipe) -> dict[str, str]:
    settings = {
        "Steps": str(spec.steps),
        "Sampler": spec.sampler,
        "CFG scale": f"{spec.cfg_scale:g}",
        "Seed": str(spec.seed),
        "Size": f"{spec.width_px}x{spec.height_px}",
        **_get_model_hash(recipe),
        "Model": spec.model,
    }
    if spec.start is not None:
        settings["Denoising strength"] = f"{spec.start.strength:g}"
        if spec.start.margins is not None:
            margins = spec.start.margins
            sides = {"left": margins.left, "right": margins.right, "top": margins.top, "bottom": margins.bottom}
            settings["Outpaint"] = " ".join(f"{side} {side_px}" for side, side_px in sides.items() if side_px)
    if spec.hires is not None:
        settings["Denoising strength"] = f"{spec.hires.strength:g}"
        settings |= {"Hires upscale": f"{spec.hires.factor:g}", "Hires upscaler": "Latent (bicubic)"}
    if spec.variation is not None:
        settings["Variation seed"] = str(spec.variation.seed)
        settings["Variation seed strength"] = f"{spec.variation.strength:g}"
    for number, each in enumerate(spec.controls):
        settings[f"ControlNet {number}"] = (
            f'"Module: {each.preprocessor}, Model: {each.network}, Weight: {each.strength:g}, '
            f'Guidance Start: {each.begin:g}, Guidance End: {each.end:g}"'
        )
    if spec.image_prompt:
        settings["IP-Adapter"] = f'"Model: {spec.image_prompt.adapter}, Weight: {spec.image_prompt.strength:g}"'
    if spec.clip_skip > 1:
        settings["Clip skip"] = str(spec.clip_skip)
    if spec.true_cfg is not UNSET:
        settings["Distilled CFG Scale"] = f"{spec.guidance:g}"
    if spec.rescale:
        settings["CFG Rescale"] = f"{spec.rescale:g}"
    if spec.cache:
        settings["Step cache"] = str(spec.cache)
    for key, digits in (("Lora hashes", _list_lora_hashes(recipe)), ("TI hashes", _list_embedding_hashes(spec))):
        if digits:
            settings[key] = '"' + ", ".join(f"{name}: {short}" for name, short in digits.items()) + '"'
    return settings | {"Version": "Atelier"}


def _get_model_hash(recipe: Recipe) -> dict[str, str]:
    """Return the digits of the file's hash.

    Earlier versions wrote those of our own hash over all that is read of a model.
    """
    if recipe.lookup_hashes is UNSET:
        return {"Model hash": recipe.model_sha256[:MODEL_DIGITS]}
    digits = recipe.lookup_hashes.get("model")
    return {"Model hash": digits[:MODEL_DIGITS]} if digits else {}


def _list_lora_hashes(recipe: Recipe) -> dict[str, str]:
    """Return the digits of the hash over the tensors. Earlier versions wrote those of the whole file's."""
    if recipe.lookup_hashes is UNSET:
        return {each.name: each.sha256[:EXTRA_DIGITS] for each in recipe.spec.adapters}
    known = recipe.lookup_hashes
    digits = {each.name: known.get(f"lora:{each.name}", "")[:EXTRA_DIGITS] for each in recipe.spec.adapters}
    return {name: short for name, short in digits.items() if short}


def _list_embedding_hashes(spec: ImageSpec) -> dict[str, str]:
    """Return the hashes of the whole files, as the web UI does."""
    return {each.name: each.sha256[:EXTRA_DIGITS] for each in spec.embeddings}


def _strip_newlines(prompt: str) -> str:
    """Return the prompt on one line, so that it cannot forge the lines below it: those are found by how they begin."""
    return prompt.replace("Negative prompt:", "Negative prompt ").replace("Steps:", "Steps ")
