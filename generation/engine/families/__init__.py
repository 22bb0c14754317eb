"""The model families the engine can run, by the name the catalogue uses.

Adding one is a file here, a line below, and its facts in `generation.models.families`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from generation.engine.devices import Device
from generation.engine.families.base import Family
from generation.engine.families.chroma import Chroma
from generation.engine.families.ernie import ErnieImage
from generation.engine.families.flux import Flux
from generation.engine.families.klein import Klein
from generation.engine.families.kontext import Kontext
from generation.engine.families.krea2 import Krea2
from generation.engine.families.qwenedit import QwenImageEdit, QwenImageEditPlus
from generation.engine.families.qwenimage import QwenImage
from generation.engine.families.sd import StableDiffusion
from generation.engine.families.sd3 import StableDiffusion3
from generation.engine.families.sdxl import StableDiffusionXL
from generation.engine.families.zimage import ZImage
from generation.engine.model_folder import ModelFolder
from generation.models.catalog import Model
from generation.workers.engine_settings import EngineSettings

FAMILIES: Mapping[str, Callable[[Model, ModelFolder, Device, EngineSettings], Family]] = {
    "sd": StableDiffusion,
    "sdxl": StableDiffusionXL,
    "zimage": ZImage,
    "klein": Klein,
    "klein9b": Klein,
    "qwenimage": QwenImage,
    "qwenedit": QwenImageEdit,
    "qweneditplus": QwenImageEditPlus,
    "krea2": Krea2,
    "ernie": ErnieImage,
    "flux": Flux,
    "kontext": Kontext,
    "chroma": Chroma,
    "sd3": StableDiffusion3,
    "sd3large": StableDiffusion3,
}
