"""The models that may be used: where they are, what they are, and what suits them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from generation import paintbox
from generation.errors import Misconfigured, UnknownModel

PAINTBOX = "paintbox"
_FAMILIES = {"StableDiffusionPipeline": "sd", "StableDiffusionXLPipeline": "sdxl"}
_NATIVE_PX = {"sd": 512, "sdxl": 1024}


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What an image of this model gets where the person chose nothing. Sizes in pixels."""

    steps: int
    guidance: float
    sampler: str
    native_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model in the diffusers layout on local disk."""

    name: str
    path: Path
    family: str
    """The file of `generation/engine/families` that runs it: `sd` for Stable Diffusion 1.x and 2.x."""
    licence: str
    defaults: Defaults
    safety_checker: Path | None = None
    upscaler: Path | None = None

    def shapes(self) -> dict[str, tuple[int, int]]:
        """The five aspect ratios offered, each with (width, height) of about native area, in multiples of 64 (or 8)."""
        native = self.defaults.native_px
        grid = 64 if native >= 512 else 8
        ratios = {"1:1": 1.0, "3:2": 1.5, "2:3": 1 / 1.5, "16:9": 16 / 9, "9:16": 9 / 16}
        return {name: _fit(native, ratio, grid=grid) for name, ratio in ratios.items()}


@dataclass(frozen=True, slots=True)
class Catalog:
    """The models of this installation; the first is the default."""

    models: tuple[Model, ...]

    @classmethod
    def open(cls, default: str) -> Catalog:
        """The built-in model and, if `default` is the path of a folder in the diffusers layout, that one before it.

        Raises `Misconfigured` if there is no such folder, or it is of a family that cannot be run.
        """
        if default == PAINTBOX:
            return cls((_paintbox(),))
        return cls((_read_folder(Path(default)), _paintbox()))

    @property
    def default(self) -> Model:
        return self.models[0]

    def get(self, name: str) -> Model:
        """The model of that name. Raises `UnknownModel`, naming those there are."""
        for model in self.models:
            if model.name == name:
                return model
        raise UnknownModel(model=name[:60], available=", ".join(model.name for model in self.models))


def _paintbox() -> Model:
    return Model(
        name=PAINTBOX,
        path=paintbox.MODEL_DIR,
        family="sd",
        licence="MIT",
        defaults=Defaults(
            steps=paintbox.DEFAULT_STEPS,
            guidance=paintbox.DEFAULT_GUIDANCE,
            sampler=paintbox.DEFAULT_SAMPLER,
            native_px=paintbox.NATIVE_PX,
        ),
        safety_checker=_if_there(paintbox.SAFETY_DIR),
        upscaler=_if_there(paintbox.UPSCALER_DIR),
    )


def _read_folder(path: Path) -> Model:
    """What `model_index.json` says of a folder; nothing else is opened here."""
    remedy = "Set ATELIER_MODEL to a folder in the diffusers layout, or leave it out for the built-in model."
    try:
        index = json.loads((path / "model_index.json").read_text(encoding="utf-8"))
        family = _FAMILIES[index["_class_name"]]
    except FileNotFoundError:
        raise Misconfigured(problem=f"There is no model in {path} (no model_index.json).", remedy=remedy) from None
    except (OSError, ValueError, TypeError):
        raise Misconfigured(problem=f"{path}/model_index.json cannot be read.", remedy=remedy) from None
    except KeyError:
        families = " and ".join(_FAMILIES)
        problem = f"{path} is not of a kind that can be run; {families} are."
        raise Misconfigured(problem=problem, remedy=remedy) from None
    return Model(
        name=path.name,
        path=path,
        family=family,
        licence="see the model's own card",
        defaults=Defaults(steps=25, guidance=7.0, sampler="DPM++ 2M Karras", native_px=_NATIVE_PX[family]),
        safety_checker=_if_there(path / "safety_checker"),
    )


def _if_there(path: Path) -> Path | None:
    return path if (path / "config.json").exists() else None


def _fit(native_px: int, ratio: float, *, grid: int) -> tuple[int, int]:
    width = round(native_px * ratio**0.5 / grid) * grid
    height = round(native_px / ratio**0.5 / grid) * grid
    return width, height
