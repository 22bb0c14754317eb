"""The model families the engine can run, by the name the catalogue uses. Adding one is a file here and a line below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from generation.engine.devices import Device
from generation.engine.families.base import Family
from generation.engine.families.sd import COMPONENTS as SD_COMPONENTS
from generation.engine.families.sd import StableDiffusion
from generation.engine.folder import Components
from generation.engine.loading import ModelFolder
from generation.engine.settings import EngineSettings
from generation.errors import Misconfigured


class _Maker(NamedTuple):
    family: Callable[[ModelFolder, Device, EngineSettings], Family]
    components: Components


FAMILIES: Mapping[str, _Maker] = {"sd": _Maker(StableDiffusion, SD_COMPONENTS)}


def load_family(name: str, folder: ModelFolder, device: Device, settings: EngineSettings) -> Family:
    """A loaded model of that family."""
    return FAMILIES[name].family(folder, device, settings)


def components_of(name: str) -> Components:
    """The parts a folder of that family must have. Raises `Misconfigured` for a family there is not."""
    if name not in FAMILIES:
        raise Misconfigured(problem=f"There is no model family “{name}”.", remedy=f"Use one of: {', '.join(FAMILIES)}.")
    return FAMILIES[name].components
