"""The models of the catalogue, loaded: the first at start, the others when they are first asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from generation.catalog import Model
from generation.engine.buckets import network_of
from generation.engine.devices import Device, lay_out
from generation.engine.digests import hash_files
from generation.engine.families import FAMILIES
from generation.engine.families.base import Family
from generation.engine.folder import FolderRefused, check_model
from generation.engine.memory import arrange, free_bytes, give_back, weight_bytes
from generation.engine.safety import SafetyChecker
from generation.engine.settings import EngineSettings
from generation.engine.single_file import open_model
from generation.engine.upscale import Upscaler
from generation.errors import UnknownModel

_ROOM_FACTOR = 1.5
"""Free memory, in weights on disk, that a model wants before it is loaded beside others."""


class LoadedModel:
    """One model of the catalogue with its safety checker and upscaler, all in memory."""

    def __init__(self, model: Model, device: Device, settings: EngineSettings) -> None:
        self.family: Family = FAMILIES[model.family](model, open_model(model), device, settings)
        self.work = model.work
        self.network = network_of(self.family.parts["unet"])
        lay_out(self.family.parts, device)
        arrange(self.family.parts, device.memory, device.torch_device)
        self.safety = SafetyChecker(model.safety_checker, device) if model.safety_checker else None
        self.upscaler = Upscaler(model.upscaler, device) if model.upscaler else None


class Models:
    """Loaded models by name. Every folder is checked at start; a bad one is `Misconfigured` then.

    What was added to the models folder is known by the hash it had then, and hashed again before it is first loaded: a
    dozen models of several GB each would hold up every start by minutes.
    """

    def __init__(self, models: Iterable[Model], device: Device, settings: EngineSettings) -> None:
        self._models = {model.name: model for model in models}
        self._device = device
        self._settings = settings
        self._loaded: dict[str, LoadedModel] = {}
        for model in self._models.values():
            check_model(
                model.path,
                model.family,
                config=model.config,
                has_other_vae=model.vae is not None,
                prediction=model.prediction,
            )
        self.sha256 = {name: model.sha256 or _hash(model) for name, model in self._models.items()}
        self._unchanged: set[str] = set()
        for name in list(self._models)[:1]:
            self.get(name)

    def get(self, name: str, *, keep: Collection[str] = ()) -> LoadedModel:
        """That model, loaded if need be (seconds), perhaps in place of others, but never of those to `keep`.

        Raises `UnknownModel`, or `Misconfigured` if it will not load.
        """
        if name not in self._models:
            raise UnknownModel(model=name[:60], available=", ".join(self._models))
        if name in self._loaded:
            self._loaded[name] = self._loaded.pop(name)  # the last in the dict is the one used last
        else:
            self._require_unchanged(self._models[name])
            self._make_room(weight_bytes(self._models[name].path), keep)
            self._loaded[name] = LoadedModel(self._models[name], self._device, self._settings)
        return self._loaded[name]

    def _make_room(self, wanted: int, keep: Collection[str]) -> None:
        """Let go of models, longest unused first, until the weights of another fit beside the rest.

        Where none may go, the other is tried all the same: if there is no room for it, its picture alone ends. Waiting
        for room could last for ever, as long as somebody keeps asking for those that are loaded.
        """
        for name in [name for name in self._loaded if name not in keep]:
            if free_bytes(self._device.home) >= _ROOM_FACTOR * wanted:
                return
            del self._loaded[name]
            give_back(self._device.torch_device)

    def _require_unchanged(self, model: Model) -> None:
        """Raise `FolderRefused` if it is not what was added to the models folder. Looked at once."""
        if model.sha256 and model.name not in self._unchanged and model.sha256 != _hash(model):
            remedy = "`bot.py models verify` says which file; if it should be so, add it again with --replace."
            raise FolderRefused(folder=str(model.path), problem="it has changed since it was added.", remedy=remedy)
        self._unchanged.add(model.name)

    def family_if_loaded(self, name: str) -> Family | None:
        """The family of a model that is in memory; None of another."""
        loaded = self._loaded.get(name)
        return loaded.family if loaded is not None else None

    def let_go(self, *, keep: Collection[str]) -> None:
        """Drop the loaded models that are not to keep: they are loaded again when they are asked for."""
        for name in self._loaded.keys() - set(keep):
            del self._loaded[name]

    def close(self) -> None:
        """Give the memory back."""
        self._loaded.clear()


def _hash(model: Model) -> str:
    """SHA-256 over what is read of it."""
    return hash_files(model.path, config=model.config, vae=model.vae)
