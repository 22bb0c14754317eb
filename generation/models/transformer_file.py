"""What a diffusion transformer in one file is, told from its header, and the settings that it lacks. No torch.

Such a file holds the transformer alone: under its authors' names, as ComfyUI keeps it in `diffusion_models`, with or
without a prefix, or under those of diffusers. What no shape tells is the same for all models of a kind and stands in
`transformer_layouts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from generation.models.checkpoint import IncompatibleFileError, Shapes
from generation.models.families import FAMILIES
from generation.models.parts_inside import is_inside
from generation.models.transformer_layouts import LAYOUTS
from generation.models.transformer_layouts.base import FLOW, TransformerLayout

_T = TypeVar("_T")
_REDUX = "redux_up.weight"
_PREFIXES = ("model.diffusion_model.", "diffusion_model.")


def strip_prefix(tensors: Mapping[str, _T]) -> dict[str, _T]:
    """Return them by their names without what ComfyUI writes before each, and without other parts of a whole model."""
    prefix = next((each for each in _PREFIXES if any(name.startswith(each) for name in tensors)), "")
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if not is_inside(name)}


def find_family(shapes: Shapes, hint: str = "") -> str:
    """Return the engine's family of a transformer alone; empty if it is no transformer that is known here.

    `hint`: the file's name, which tells those that have the same shapes. Raise `IncompatibleFileError` for a relative
    of one that is run, which has the same names and other numbers.
    """
    plain = strip_prefix(shapes)
    try:
        family = next((family for layout in LAYOUTS if (family := layout.find(plain))), "")
    except IncompatibleFileError as relative:
        titles = ", ".join(FAMILIES[layout.families[0]].title for layout in LAYOUTS)
        raise IncompatibleFileError(
            str(relative), f"Of transformers in one file, these are run here: {titles}."
        ) from None
    if not family:
        if _REDUX in plain:
            raise IncompatibleFileError("is FLUX.1 Redux, which shows pictures to FLUX.1 and cannot be used here")
        return ""
    by_name = _layout_of(family).by_name
    return next((other for word, other in by_name.items() if word in hint.lower()), family)


def is_of_family(shapes: Shapes, family: str) -> bool:
    """Return whether a transformer alone may be one of that family, whatever its name. Raise as `find_family` does."""
    found = find_family(shapes)
    return bool(found) and family in (found, *_layout_of(found).by_name.values())


def derive_transformer(shapes: Shapes, family: str) -> Mapping[str, Any]:
    """Return the settings of the transformer. Raise `IncompatibleFileError` if its shapes are unknown here."""
    try:
        return _layout_of(family).derive(strip_prefix(shapes))
    except (LookupError, ValueError, ZeroDivisionError) as error:
        problem = f"has names or shapes that no such transformer has ({str(error)[:80]})"
        raise IncompatibleFileError(problem, "Name a model folder of the same kind with --config.") from None


def derive_scheduler(shapes: Shapes, family: str) -> Mapping[str, Any]:
    """Return the schedule of a transformer of that family."""
    schedule = _layout_of(family).schedule
    own = schedule(strip_prefix(shapes)) if callable(schedule) else schedule
    return {"_class_name": FLOW, "num_train_timesteps": 1000, **own}


def list_vae_settings(family: str) -> Mapping[str, Any]:
    """Return what no shape of a family's VAE in one file tells, where it is another than usual."""
    return _layout_of(family).vae


def build_index(family: str, *, hint: str) -> Mapping[str, Any]:
    """Return `model_index.json`. `hint`: the file's name, by which some models of a kind are known."""
    info, layout = FAMILIES[family], _layout_of(family)
    index: dict[str, Any] = {"_class_name": info.pipelines[0], "scheduler": ["diffusers", FLOW]}
    for part, classes in info.components.items():
        library = "transformers" if part.startswith(("text_encoder", "tokenizer")) else "diffusers"
        index[part] = [library, classes if isinstance(classes, str) else classes[0]]
    if layout.text_class:
        index["text_encoder"][1] = layout.text_class
    return {**index, **layout.build_more(hint)}


def _layout_of(family: str) -> TransformerLayout:
    return next(layout for layout in LAYOUTS if family in layout.families)
