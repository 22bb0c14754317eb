"""Tells which models a LoRA for a transformer is for: by the names and sizes of all of its layers. No torch.

A file may be for several, as FLUX.1 and Chroma share most of their layers: then what its header says decides, if it
says anything; else it is for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from generation.models.lora_flow_names import PREFIX, find_block
from generation.models.lora_kinds import Extent
from generation.models.lora_layouts import LAYOUTS
from generation.models.lora_layouts.base import LoraLayout, Size

MADE_FOR = "another kind of model than those that are run here"
_CLIP = ("lora_te1_", "lora_te2_")
_PUBLISHED = {width for layout in LAYOUTS for width in layout.sizes}
_SAID = (
    (r"chroma", ("chroma",)),
    (r"krea.?2", ("krea2",)),
    (r"klein|flux.?2", ("klein", "klein9b")),
    (r"flux", ("flux", "kontext")),
    (r"qwen", ("qwenimage", "qwenedit", "qweneditplus")),
    (r"sd.?3|stable.diffusion.v?3", ("sd3", "sd3large")),
)
"""How headers and pages call what a LoRA was trained on, and the families that are meant; the first that is found."""
_STATED = ("modelspec.architecture", "ss_base_model_version")


def find_families(extents: Mapping[str, Extent]) -> tuple[str, ...]:
    """Return the families whose models have all of the layers, at these sizes.

    Raise `ValueError` (to follow the file's name) saying what it was made for, if none has.
    """
    texts = {prefix for prefix in _CLIP for layer in extents if layer.startswith(prefix)}
    layers = {name.removeprefix(PREFIX): extent for name, extent in extents.items() if name.startswith(PREFIX)}
    fitting = [(layout, size) for layout in LAYOUTS for size in _find_sizes(layout, layers)]
    families = [each for layout, size in fitting if texts <= set(layout.texts) for each in size.families]
    if families:
        return tuple(families)
    if any(size.families for _, size in fitting):
        odd = next(layer for layer in extents if layer.startswith(tuple(texts)))
        raise ValueError(f"changes {odd[:120]}: the kind of model that it was made for has no such text encoder")
    if title := next((size.title for _, size in fitting), ""):
        raise ValueError(f"was made for {title}, {MADE_FOR}")
    raise ValueError(_explain(layers))


def narrow(families: Iterable[str], said: Iterable[str]) -> tuple[str, ...]:
    """Return those of the families that are meant by what is said of a LoRA; all, if that names none of them."""
    possible = tuple(families)
    found = (each for text in said for pattern, each in _SAID if re.search(pattern, text, re.IGNORECASE))
    meant = next(found, ())
    kept = tuple(family for family in possible if family in meant)
    return kept or possible


def list_stated(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return what a header says that its LoRA was trained on."""
    return tuple(text for name in _STATED if (text := metadata.get(name, "")))


def _find_sizes(layout: LoraLayout, layers: Mapping[str, Extent]) -> Iterator[Size]:
    """Yield the transformers of a layout that have all of the layers."""
    widths, blocks = set[int](), dict[str, int]()
    for name, extent in layers.items():
        better = layout.rename(name)
        if (rule := layout.find_rule(better)) is None:
            return
        for numbers, times in zip((extent.gives, extent.takes), rule, strict=True):
            if times:
                widths.add(numbers // times if numbers % times == 0 else 0)
        if (block := find_block(better)) is not None:
            blocks[block[0]] = max(block[1] + 1, blocks.get(block[0], 0))
    if 0 in widths or len(widths) > 1:
        return
    for width, size in layout.sizes.items():
        has_blocks = all(blocks.get(kind, 0) <= number for kind, number in size.blocks.items())
        if has_blocks and (width in widths or not widths & _PUBLISHED):
            yield size


def _explain(layers: Mapping[str, Extent]) -> str:
    """Return why no transformer has the layers: the first that is in none, or else that they are of several."""
    for name, extent in layers.items():
        if not any(size for layout in LAYOUTS for size in _find_sizes(layout, {name: extent})):
            shown = f"{name[:120]} ({extent.takes} to {extent.gives})"
            return f"changes {shown}: it was made for {MADE_FOR}, which have no such layer of that size"
    return f"changes layers that no model has side by side: it was made for {MADE_FOR}"
