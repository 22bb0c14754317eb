"""Where an IP-Adapter is at work in a UNet."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

_KNOWN: WeakKeyDictionary[Any, tuple[Any, ...]] = WeakKeyDictionary()
_SELF = "attn1.processor"


def find_cross_attentions(unet: Any) -> tuple[Any, ...]:
    """Return a UNet's attentions to words, in the order in which the files of IP-Adapters number them."""
    if unet not in _KNOWN:
        names = (name for name in unet.attn_processors if not name.endswith(_SELF))
        _KNOWN[unet] = tuple(unet.get_submodule(name.removesuffix(".processor")) for name in names)
    return _KNOWN[unet]
