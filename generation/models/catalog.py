"""The models that may be used: where they are, what they are, and what suits them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from generation import paintbox
from generation.errors import ConfigurationError, UnknownModelError
from generation.models.additions import list_additions, take_fitting
from generation.models.addons import load_built_in_loras
from generation.models.controls import ControlFile
from generation.models.families import FAMILIES, FamilyInfo
from generation.models.hashing import WHOLE, KnownFile
from generation.models.inspect import (
    detect_family,
    is_inpainting,
    read_context_width,
    read_defaults,
    read_max_clip_skip,
)
from generation.models.ip_adapters import IpAdapterFile
from generation.models.layout import check_model, is_zero_snr
from generation.models.named_parts import find_parts, require_files
from generation.models.previews import list_previews
from generation.models.registry import PARTS, Entry, Kind, ModelRegistry, Preview
from generation.models.shapes import list_shapes
from generation.models.shared_additions import AddedChecker, list_known_files
from generation.program import format_command
from generation.requests.bases import name_base
from generation.requests.cost import BY_PIXELS, Work
from generation.requests.defaults import DefaultOverrides, Defaults
from generation.requests.prompt_addons import PromptAddon
from generation.requests.samplers import list_samplers
from generation.requests.upscalers import Upscaler

PAINTBOX = "paintbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model on local disk, and what may be used with it."""

    name: str
    path: Path
    """A folder in the diffusers layout, or a single file; then `config` names a folder for settings and word lists."""
    family: str
    """The file of `generation/engine/families` that runs it: `sd` for Stable Diffusion 1.x and 2.x."""
    licence: str
    defaults: Defaults
    safety_checker: Path | None = None
    upscaler: Path | None = None
    config: Path | None = None
    vae: Path | None = None
    """A VAE that replaces the model's own: a folder, or a single file."""
    text_encoder: Path | None = None
    text_encoder_2: Path | None = None
    text_encoder_3: Path | None = None
    """The same of its text encoders."""
    storage: str = ""
    """How its denoiser's weights are kept in memory: `fp8`, or as their file and the device want it."""
    sha256: str = ""
    """Of what was added (`digests.compute_total_digest`); the engine refuses anything else. Empty: not recorded."""
    file_sha256: str = ""
    """Of a single file, as it was added; empty for a folder."""
    context_width: int = 0
    """Numbers a token that its UNet reads from the prompt; 0 where that is not known."""
    prediction: str = ""
    """What the operator says that its UNet predicts, `epsilon` or `v_prediction`; empty: what its files say."""
    max_clip_skip: int = 0
    """The largest clip skip that its text encoders have a layer for; 0 where that is not known."""
    is_inpainting: bool = False
    """Whether its UNet sees the mask and what stays."""
    is_zero_snr: bool = False
    """Whether its noise ends in no signal at all (zero terminal SNR)."""
    counted: Work | None = None
    """What it takes, counted when it was added; None where that was not done."""
    base_model: str = ""
    """What it was trained on, as its page names it; empty where that is not known."""
    page: str = ""
    loras: tuple[PromptAddon, ...] = ()
    embeddings: tuple[PromptAddon, ...] = ()
    known_files: tuple[KnownFile, ...] = ()
    """Files of it whose SHA-256 was taken when they were added."""
    added_checkers: tuple[AddedChecker, ...] = ()
    upscalers: tuple[Upscaler, ...] = ()
    controls: tuple[ControlFile, ...] = ()
    ip_adapters: tuple[IpAdapterFile, ...] = ()
    """All these are those of every model, beside its own; of ControlNets and IP-Adapters those that fit it."""

    def with_defaults(self, chosen: DefaultOverrides | None) -> Model:
        """Return the model with these in place of its defaults."""
        return self if chosen is None else replace(self, defaults=chosen.over(self.defaults))

    @property
    def parts(self) -> dict[str, Path]:
        """Its parts that are read from elsewhere."""
        return {name: path for name in PARTS if (path := getattr(self, name)) is not None}

    @property
    def info(self) -> FamilyInfo:
        """What is known of its family."""
        return FAMILIES[self.family]

    @property
    def base(self) -> str:
        """What it was trained on, as its page names it, else its kind; empty for the built-in model, one of its own."""
        return "" if self.name == PAINTBOX else name_base(self) or self.info.title

    @property
    def samplers(self) -> tuple[str, ...]:
        """The names of the samplers that work with it, in the order of menus."""
        return list_samplers(is_flow=FAMILIES[self.family].is_flow, is_zero_snr=self.is_zero_snr)

    @property
    def work(self) -> Work:
        """What one of its evaluations takes, for its price."""
        return BY_PIXELS if self.path == paintbox.MODEL_DIR else self.counted or self.info.work

    def shapes(self) -> dict[str, tuple[int, int]]:
        """Return the five offered aspect ratios as (width, height) of about native area, in multiples of 64 or 8."""
        native = self.defaults.native_px
        return list_shapes(native, grid=64 if native >= 512 else self.info.side_multiple_px)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The models of this installation; the first is the default."""

    models: tuple[Model, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """What was added and cannot be offered, by name, and why."""
    previews: Mapping[str, tuple[Path, Preview]] = field(default_factory=dict)
    """Small pictures of what was added, by name, and where they lie."""
    controls: tuple[ControlFile, ...] = ()
    """All ControlNets that were added, for whichever model."""

    @classmethod
    def open(cls, default: str, models_dir: Path | None = None) -> Catalog:
        """Return the catalogue of the models folder and the built-in model; each with all LoRA, words and upscalers.

        `default` comes first: a name among them, or the path of a folder in the diffusers layout. Raise
        `ConfigurationError` if it is not there or cannot be run. Other models that are missing or refused are left out.
        """
        register = ModelRegistry() if models_dir is None else ModelRegistry.read(models_dir)
        folder, left_out = models_dir or Path(), dict[str, str]()
        models = [*_list_added_models(register, folder, default, left_out), _load_paintbox()]
        if default not in [model.name for model in models]:
            models = _replace_with_folder(Path(default), models, left_out)
        models.sort(key=lambda model: model.name != default and model.path != Path(default))
        extras = list_additions(register, folder, left_out, built_in=load_built_in_loras(base_model=PAINTBOX))
        offered = tuple(_with_extras(model, extras) for model in models)
        return cls(offered, left_out, list_previews(register, folder), extras["controls"])

    @property
    def default(self) -> Model:
        return self.models[0]

    @property
    def loadable(self) -> tuple[Model | AddedChecker, ...]:
        """All that the engine loads whole: models, and the checkers of all of them."""
        return *self.models, *self.default.added_checkers

    def get(self, name: str) -> Model:
        """Return the model of that name. Raise `UnknownModelError`, with the names there are."""
        for model in self.models:
            if model.name == name:
                return model
        raise UnknownModelError(model=name[:60], available=", ".join(model.name for model in self.models))

    def work_of(self, name: str) -> Work:
        """Return the work of one evaluation of that model; of the default's if the model is gone."""
        return next((model for model in self.models if model.name == name), self.default).work


def check_files(model: Model) -> None:
    """Raise `ModelRefusedError` unless the model's files are safe to load from and fit each other."""
    check_model(model.path, model.family, config=model.config, replaced=model.parts, prediction=model.prediction)


def _with_extras(model: Model, extras: dict[str, Any]) -> Model:
    """Return the model with what was added for all, less what its family cannot use."""
    fitting = take_fitting(extras, model.family, model.context_width)
    return replace(model, **extras | fitting | ({} if model.info.reads_clip else {"embeddings": ()}))


def _list_added_models(
    register: ModelRegistry, folder: Path, default: str, left_out: dict[str, str]
) -> Iterator[Model]:
    """Return those that can be offered; reasons of others go to `left_out`. Raise `ConfigurationError` for the
    default."""
    for entry in register.entries:
        if entry.kind is not Kind.MODEL:
            continue
        try:
            model = model_of(register, entry, folder)
            check_files(model)
            require_files(model.parts)
            yield model
        except ConfigurationError as refused:
            if entry.name == default:
                raise
            left_out[entry.name] = str(refused)


def _replace_with_folder(path: Path, models: list[Model], left_out: dict[str, str]) -> list[Model]:
    """Return the model in a folder that was not added, and those with another name."""
    model = _read_folder(path)
    if model.name == PAINTBOX:  # what it may paint is known by that name
        problem = f"The folder {path} has the name of the built-in model."
        raise ConfigurationError(
            problem=problem, remedy=f"Add it under another: {format_command('models add FOLDER --name NAME')}."
        )
    left_out |= {each.name: "The default model has the same name." for each in models if each.name == model.name}
    return [model, *(each for each in models if each.name != model.name)]


def _load_paintbox() -> Model:
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
        safety_checker=_find_config(paintbox.SAFETY_DIR),
        upscaler=_find_config(paintbox.UPSCALER_DIR),
        context_width=read_context_width(paintbox.MODEL_DIR),
        max_clip_skip=read_max_clip_skip(paintbox.MODEL_DIR, "sd"),
    )


def _read_folder(path: Path) -> Model:
    """Return a folder in the diffusers layout that was not added: name, kind and sizes. No weights are opened."""
    names = format_command("models list")
    remedy = f"Set ATELIER_MODEL to a name from {names}, to a folder in the diffusers layout, or leave it out."
    try:
        family = detect_family(path)
    except ValueError as error:
        raise ConfigurationError(problem=f"The model {path} {error}.", remedy=remedy) from None
    check_model(path, family)
    return Model(
        name=path.name,
        path=path,
        family=family,
        licence="see the model's own card",
        defaults=read_defaults(family, path),
        safety_checker=_find_config(path / "safety_checker"),
        context_width=read_context_width(path),
        max_clip_skip=read_max_clip_skip(path, family),
        is_inpainting=is_inpainting(path),
        is_zero_snr=is_zero_snr(path, family),
    )


def model_of(register: ModelRegistry, entry: Entry, folder: Path) -> Model:
    """Return what an entry of the register is to the engine. Raise `ConfigurationError` if it lacks a part."""
    path = entry.place(folder)
    config = folder / entry.config if entry.config else None
    parts = find_parts(register, entry)
    places: dict[str, Any] = {name: part.place(folder) for name, part in parts.named.items()}
    return Model(
        name=entry.name,
        path=path,
        family=entry.family,
        licence=entry.licence,
        defaults=entry.guessed.merged(entry.chosen).over(
            read_defaults(entry.family, config or path, stated_px=entry.native_px)
        ),
        safety_checker=_find_config(path / "safety_checker"),
        config=config,
        **places,
        sha256=parts.digest(entry),
        file_sha256=entry.files.get(WHOLE, ""),
        context_width=entry.context_width,
        prediction=entry.prediction,
        storage=entry.storage,
        max_clip_skip=read_max_clip_skip(config or path, entry.family),
        is_inpainting=is_inpainting(config or path),
        is_zero_snr=is_zero_snr(
            config or path, entry.family, file=path if config else None, prediction=entry.prediction
        ),
        counted=entry.work,
        base_model=entry.base_model,
        page=entry.link,
        known_files=list_known_files(entry, *parts, folder=folder),
    )


def _find_config(path: Path) -> Path | None:
    return path if (path / "config.json").exists() else None
