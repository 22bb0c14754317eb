"""The models of the catalogue, loaded: the first at start, the others when they are first asked for."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any
from weakref import WeakSet

from msgspec import UnsetType

from generation import progress
from generation.engine.acceleration import accelerate, list_held
from generation.engine.buckets import name_network
from generation.engine.checkers.clip import ClipChecker
from generation.engine.control.beside import NetworksBeside
from generation.engine.control.features import Networks
from generation.engine.devices import Device, lay_out
from generation.engine.families import FAMILIES
from generation.engine.families.base import Family
from generation.engine.loading import refusing
from generation.engine.memory import GIB, all_bytes, find_largest_px, free_bytes, give_back, loaded_bytes, machine_bytes
from generation.engine.offload import PartOffloader, arrange
from generation.engine.shared_parts import SharedParts
from generation.engine.single_file import open_model
from generation.engine.slot import Traits
from generation.engine.stored_weights import describe
from generation.engine.upscalers.esrgan import EsrganUpscalers
from generation.engine.upscalers.swin2sr import Swin2srUpscaler
from generation.engine.upscalers.tiles import TileUpscaler
from generation.errors import ConfigurationError, ModelTooLargeError, ModelUnusableError, UnknownModelError
from generation.jobs.protocol import LargestPx, LoadedModelInfo, ModelsReport
from generation.models.catalog import Model, check_files
from generation.models.failed_loads import FailedLoads
from generation.models.hashing import hash_files
from generation.models.layout import ModelRefusedError
from generation.program import format_command
from generation.requests.cost import price_move
from generation.requests.edits import Upscale
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings

log = logging.getLogger(__name__)
_ROOM_FACTOR = 1.5
"""Free memory, in weights as loaded, that a model wants before it is loaded beside others."""
_LEAST_FACTOR = 1.1
"""Free memory, in weights as loaded, without which a model is not loaded into the machine's memory."""


class Beside:
    """What the models of one engine have in common: parts, and the place for one of them on the device."""

    def __init__(self, device: Device) -> None:
        self.parts = SharedParts()
        self.shelf = PartOffloader(device.torch_device)


class LoadedModel:
    """One model of the catalogue with its safety checker and upscaler in memory, and others that were added."""

    def __init__(
        self,
        model: Model,
        device: Device,
        settings: EngineSettings,
        *,
        beside: Beside | None = None,
        sha256: str = "",
        serial: int = 0,
    ) -> None:
        """`sha256`: of what is loaded; `serial`: tells it from others of its name, loaded before or after."""
        beside = beside or Beside(device)
        self.family: Family = FAMILIES[model.family](model, open_model(model, beside.parts), device, settings)
        self.network = name_network(self.family.denoiser)
        lay_out((self.family.denoiser, self.family.vae), device)
        arrange(self.family, device.memory, beside.shelf)
        self.family.accelerated = accelerate(self.family, model, device, folder=settings.compiled, sha256=sha256)
        storage = describe({"denoiser": self.family.denoiser, **self.family.text_encoders})
        self.traits = Traits(model.work, self.network, serial, sha256, storage, device.packs)
        self.checkers = (ClipChecker(model.safety_checker, device),) if model.safety_checker else ()
        """Its own, beside those of all models."""
        self._upscaler = Swin2srUpscaler(model.upscaler, device) if model.upscaler else None
        self._added = EsrganUpscalers(model.upscalers, device)
        self.move_charge = price_move(_count_bytes(self.family.denoiser)) if device.memory == "offload" else 0
        """What it costs to put its denoiser in the place of another's. In `layers`, each step copies it anyway."""
        num_bytes = sum(map(_count_bytes, list_held(self.family)))
        self.info = LoadedModelInfo(name=model.name, device=str(device.home), num_bytes=num_bytes)

    def get_upscaler(self, upscale: Upscale) -> TileUpscaler | None:
        """Return what enlarges a picture; None for a resize. Raise `InvalidRequestError` if it is not here."""
        if isinstance(upscale.network, UnsetType):
            return self._upscaler
        return self._added.get(upscale.network, factor=upscale.factor)


class Models:
    """Loaded models by name. The first is checked and loaded at the start; if that fails, that is `ConfigurationError`.

    Any other is when it is first asked for. One that fails is not tried again until its files change.

    What was added to the models folder is known by the hash it had then, and hashed again before it is first loaded: a
    dozen models of several GB each would hold up every start by minutes.
    """

    def __init__(self, models: Iterable[Model], device: Device, settings: EngineSettings) -> None:
        self._models = {model.name: model for model in models}
        self._device = device
        self._settings = settings
        self._beside = Beside(device)
        self._loaded: dict[str, LoadedModel] = {}
        self._in_memory: WeakSet[LoadedModel] = WeakSet()
        """Those that were replaced while images of theirs are in the making, too."""
        self._failed = FailedLoads(settings.failed_loads)
        self._unchanged: set[str] = set()
        self._num_loads = 0
        self._networks = NetworksBeside(device, self._beside.shelf, num_cached=settings.num_cached_prompts)
        self.sha256: dict[str, str] = {}
        self._largest_px = self._find_largest()
        for name, model in self._models.items():
            self._look_at(model, is_first=not self.sha256)
            if len(self.sha256) == 1 and name in self.sha256:
                self._require_room(model)
                self._loaded[name] = self._load(model)

    def get(self, name: str, *, keep: Collection[str] = ()) -> LoadedModel:
        """Return that model, loaded if need be (seconds), perhaps in place of others, but never of those to `keep`.

        Raise `UnknownModelError`, or `ModelUnusableError` if it does not load: at once where that is known.
        """
        if name not in self._models:
            raise UnknownModelError(model=name[:60], available=", ".join(self._models))
        if name in self._loaded:
            self._loaded[name] = self._loaded.pop(name)  # the last in the dict is the one used last
            return self._loaded[name]
        model = self._models[name]
        if self._failed.get(model) is not None:
            raise ModelUnusableError()
        there = [part for part in model.parts.values() if self._beside.parts.holds(part)]
        self._make_room(loaded_bytes(model, self._device.dtype.itemsize, without=there), keep)
        try:
            self._loaded[name] = self._load(model)
        except ConfigurationError:
            raise ModelUnusableError() from None
        return self._loaded[name]

    def get_networks(self, spec: ImageSpec, *, keep: Collection[str] = ()) -> Networks:
        """Return what works beside the model of a spec, which is in memory; `keep` as for `get`.

        Raise `InvalidRequestError` if something is not here or cannot be used.
        """
        model, unet = self._models[spec.model], self._loaded[spec.model].family.denoiser
        return self._networks.get(spec, model, unet, lambda wanted: self._make_room(wanted, {*keep, spec.model}))

    def update(self, models: tuple[Model, ...]) -> None:
        """Know these models in the place of those before. What is loaded of another file is unloaded."""
        before, self._models = self._models, {model.name: model for model in models}
        self._largest_px = self._find_largest()
        for name, model in self._models.items():
            if name not in before or not _loads_alike(before[name], model):
                self._loaded.pop(name, None)
                self._unchanged.discard(name)
                self._look_at(model, is_first=False)
            elif name in self._loaded:
                self._loaded[name].family.offer(model)
        for name in before.keys() - self._models.keys():
            self._loaded.pop(name, None)
            self.sha256.pop(name, None)
        give_back(self._device.torch_device)

    def report(self) -> ModelsReport:
        """Return what can be run and what is in memory, in the order of use."""
        loaded = tuple(model.info for model in self._loaded.values())
        return ModelsReport(model_sha256=dict(self.sha256), loaded=loaded, largest_px=self._largest_px)

    def _find_largest(self) -> dict[str, LargestPx]:
        """Return how large a picture of each model is at most here."""
        device = self._device
        room = all_bytes(device.torch_device)
        return {
            name: find_largest_px(model, device.dtype.itemsize, device.memory, room)
            for name, model in self._models.items()
        }

    def _look_at(self, model: Model, *, is_first: bool) -> None:
        """Check a model's files and note its hash. Raise `ConfigurationError` for the first; remember any other's."""
        try:
            check_files(model)
            self.sha256[model.name] = model.sha256 or _hash(model)
        except ConfigurationError as refused:
            self._remember(model, refused)
            if is_first:
                raise

    def _load(self, model: Model) -> LoadedModel:
        """Raise `ConfigurationError` and remember it if the model does not load. Memory that ran out is not its
        fault."""
        try:
            self._require_unchanged(model)
            with refusing(model.path, "it cannot be loaded"), progress.task(f"Loading {model.name}"):
                self._num_loads += 1
                known = self.sha256.get(model.name, "")
                options: dict[str, Any] = {"sha256": known, "serial": self._num_loads, "beside": self._beside}
                loaded = LoadedModel(model, self._device, self._settings, **options)
                self._in_memory.add(loaded)
        except ConfigurationError as refused:
            self._remember(model, refused)
            raise
        self._failed.remove(model)
        return loaded

    def _remember(self, model: Model, refused: ConfigurationError) -> None:
        log.error("model=%s action=load-failed reason=%s", model.name, refused)
        self._failed.put(model, str(refused))

    def _make_room(self, wanted: int, keep: Collection[str]) -> None:
        """Unload models, longest unused first, until the weights of another fit.

        Where none may be unloaded, the other is still tried on a card: if there is no room, only its picture fails.
        Waiting for room could last for ever, as long as requests for the loaded ones keep coming. Raise
        `ModelTooLargeError` if the machine has too little left.
        """
        unused = [name for name in self._loaded if name not in keep]
        self._require_free(wanted, sum(self._loaded[name].info.num_bytes for name in unused))
        for name in unused:
            if free_bytes(self._device.home) >= _ROOM_FACTOR * wanted:
                return
            del self._loaded[name]
            give_back(self._device.torch_device)

    def _require_free(self, wanted: int, unused: int) -> None:
        """Raise `ModelTooLargeError` if so many bytes do not fit once the unused ones are given back.

        A card says that it has no room. Linux gives more than it has, and kills the process when that is used.
        """
        free = free_bytes(self._device.home) + unused
        if self._device.home.type == "cpu" and _LEAST_FACTOR * wanted > free:
            raise ModelTooLargeError(needed_gib=round(wanted / GIB, 1), free_gib=round(free / GIB, 1))

    def _require_room(self, model: Model) -> None:
        """Raise `ModelRefusedError` if a model cannot ever fit in the memory of this machine."""
        dtype = self._device.dtype
        needed, there = loaded_bytes(model, dtype.itemsize), machine_bytes()
        if self._device.home.type == "cpu" and needed > there:
            name = str(dtype).removeprefix("torch.")
            problem = f"it needs {needed / GIB:.1f} GiB of memory in {name}, and there are {there / GIB:.1f}."
            remedy = "Choose a smaller model, keep its weights in fp8 (--storage fp8), or set ATELIER_DTYPE=bfloat16."
            raise ModelRefusedError(folder=str(model.path), problem=problem, remedy=remedy)

    def _require_unchanged(self, model: Model) -> None:
        """Raise `ModelRefusedError` if it is not what was added to the models folder. Looked at once."""
        if model.sha256 and model.name not in self._unchanged and model.sha256 != _hash(model):
            which = format_command("models verify")
            remedy = f"{which} says which file. If it should be so, add the model again with --replace."
            raise ModelRefusedError(folder=str(model.path), problem="it has changed since it was added.", remedy=remedy)
        self._unchanged.add(model.name)

    def family_if_loaded(self, name: str) -> Family | None:
        """Return the family of a model that is in memory, else None."""
        loaded = self._loaded.get(name)
        return loaded.family if loaded is not None else None

    def let_go(self, *, keep: Collection[str]) -> None:
        """Unload the models that are not to keep: they are loaded again when needed."""
        self._networks.clear()
        for each in self._in_memory:
            if each.family.accelerated is not None:
                each.family.accelerated.clear()
        for name in self._loaded.keys() - set(keep):
            del self._loaded[name]

    def close(self) -> None:
        """Give the memory back."""
        self._networks.clear()
        self._loaded.clear()


def _loads_alike(one: Model, other: Model) -> bool:
    """Return whether what is loaded of both is the same: LoRA and the like are read when they are first used."""
    unloaded = (
        "defaults",
        "loras",
        "embeddings",
        "controls",
        "ip_adapters",
        "added_checkers",
        "licence",
        "known_files",
    )
    same = {name: getattr(one, name) for name in unloaded}
    return one == replace(other, **same)


def _count_bytes(network: Any) -> int:
    return sum(each.numel() * each.element_size() for each in (*network.parameters(), *network.buffers()))


def _hash(model: Model) -> str:
    """Return the SHA-256 over what is read of the model."""
    return hash_files(model.path, config=model.config, known=model.known_files, **model.parts)
