"""Text encoders and VAE that several models name: in memory once, as long as any of them is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from generation.models.hashing import Stamp, take_stamp
from generation.models.layout import weight_files

_Key = tuple[Path, str, tuple[Stamp, ...]]


class SharedParts:
    """Networks by where their weights lie. They are held by the models that use them, and by nothing here."""

    def __init__(self) -> None:
        self._parts: WeakValueDictionary[_Key, Any] = WeakValueDictionary()

    def get(self, part: Path, kind: str, load: Callable[[], Any]) -> Any:
        """Return the network of a part, loaded if no model has it. A file that has changed is another part."""
        key = _identify(part, kind)
        network = self._parts.get(key)
        if network is None:
            network = self._parts[key] = load()
        return network

    def holds(self, part: Path) -> bool:
        """Return whether a model that is loaded has a part."""
        return any(path == part for path, _, _ in self._parts.keys())  # noqa: SIM118 - of a weak dictionary


def _identify(part: Path, kind: str) -> _Key:
    return part, kind, tuple(take_stamp(file) for file in weight_files(part))
