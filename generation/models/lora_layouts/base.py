"""What the layouts of LoRA for transformers have in common. No torch.

Names have underscores for points. A layer that the authors have in one and diffusers in several (`to_qkv`, `linear1`)
keeps one name until it is loaded: only the model knows where one ends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

Rename = tuple[str, str]
Rule = tuple[int, int]
"""What a layer gives and takes, in widths of the transformer; 0 where that is no multiple of it."""
FUSED: Mapping[str, tuple[str, ...]] = {
    "attn_to_qkv": ("attn_to_q", "attn_to_k", "attn_to_v"),
    "attn2_to_qkv": ("attn2_to_q", "attn2_to_k", "attn2_to_v"),
    "attention_to_qkv": ("attention_to_q", "attention_to_k", "attention_to_v"),
    "attn_to_added_qkv": ("attn_add_q_proj", "attn_add_k_proj", "attn_add_v_proj"),
    "linear1": ("attn_to_q", "attn_to_k", "attn_to_v", "proj_mlp"),
}
"""The ends of layers that are one in the authors' code and several in that of diffusers, in the order of their rows."""


@dataclass(frozen=True, slots=True)
class Size:
    """A transformer as it was published."""

    families: tuple[str, ...]
    """Those whose models have it; none where they are not run here."""
    blocks: Mapping[str, int]
    """How many there are, by their name in diffusers."""
    title: str = ""
    """What it is, where it is not run here."""


@dataclass(frozen=True)
class LoraLayout:
    """The layers that LoRA change in a class of transformers of diffusers."""

    network: str
    """The class."""
    layers: Mapping[str, Rule]
    """Patterns of layers that a LoRA may change; `#` stands for the number of a block."""
    sizes: Mapping[int, Size]
    """By width. Other widths are those of toys."""
    renamed: tuple[Rename, ...] = ()
    """Patterns of the authors' names, and diffusers' names."""
    swapped: str = ""
    """The authors' names of layers whose two halves diffusers has the other way round, if they have two."""
    texts: tuple[str, ...] = ()
    """Its CLIP, as kohya's scripts begin their names."""

    def rename(self, name: str) -> str:
        """Return diffusers' name of a layer; as it is if it has that already."""
        return _rename(self.renamed, name)

    def find_rule(self, name: str) -> Rule | None:
        """Return the sizes of a layer by diffusers' name; None where there is no such layer."""
        return _find_rule(tuple(self.layers.items()), re.sub(r"_\d+_", "_#_", name, count=1))

    def is_swapped(self, name: str) -> bool:
        """Return whether the authors have the halves of this layer of theirs the other way round."""
        return bool(self.swapped) and re.fullmatch(self.swapped, name) is not None


@lru_cache(maxsize=4096)
def _rename(renamed: tuple[Rename, ...], name: str) -> str:
    for pattern, better in renamed:
        if (found := re.fullmatch(pattern, name)) is not None:
            name = found.expand(better)
    return name


@lru_cache(maxsize=4096)
def _find_rule(layers: tuple[tuple[str, Rule], ...], name: str) -> Rule | None:
    return next((rule for pattern, rule in layers if re.fullmatch(pattern, name)), None)
