"""What is in the models folder, each thing with its facts: for `models list`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.model_defaults import describe_words
from generation.models.catalog import Catalog
from generation.models.failed_loads import Loadable
from generation.models.families import FAMILIES
from generation.models.registry import Entry, Kind, ModelRegistry
from generation.requests.bases import BASES, name_family
from generation.requests.prompt_addons import PromptAddon


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One thing that was added or is built in. `about` is what a person reads of it in brackets."""

    kind: str
    name: str
    about: tuple[str, ...] = ()
    licence: str = ""
    origin: str = ""
    defaults: str = ""
    problem: str = ""
    """Why it cannot be used; empty where it can."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def list_lines(self) -> Iterator[str]:
        """Yield what a person reads."""
        if self.problem:
            yield f"{'BAD':<10} {self.name}: {self.problem}"
            return
        about = (*self.about, f"licence: {self.licence}", self.origin)
        yield f"{self.kind:<10} {self.name}  ({'; '.join(about)})"
        if self.defaults:
            yield f"{'':<10} {self.defaults}"

    def list_facts(self) -> dict[str, Any]:
        """Return what a program reads."""
        if self.problem:
            return {"name": self.name, "is_usable": False, "problem": self.problem}
        known = {"kind": self.kind, "name": self.name, "is_usable": True, "licence": self.licence}
        return known | {"origin": self.origin, **self.facts}


def list_all(
    models_dir: Path, failed: Callable[[tuple[Loadable, ...]], Mapping[str, str]] | None = None
) -> Iterator[Listed]:
    """Yield all that is there, and why something cannot be used. `failed` says why models did not load."""
    catalog = Catalog.open("paintbox", models_dir)
    register = ModelRegistry.read(models_dir)
    yield from _list_models(catalog, register)
    yield from _list_extras(catalog, register)
    for entry in register.entries:
        if entry.kind in (Kind.VAE, Kind.TEXT_ENCODER, Kind.IMAGE_ENCODER, Kind.CHECKER):
            yield _list_entry(entry)
        elif entry.kind is Kind.IP_ADAPTER and entry.name not in catalog.left_out:
            base = _control_base(entry.family, entry.context_width)
            yield _list_entry(entry, f"for {base}, through {entry.image_encoder}", family=entry.family)
    for name, why in {**catalog.left_out, **(failed(catalog.loadable) if failed is not None else {})}.items():
        yield Listed(kind="", name=name, problem=why)


def _list_entry(entry: Entry, *about: str, **facts: Any) -> Listed:
    licence, origin = entry.licence or "unknown", _origin(entry)
    return Listed(kind=entry.kind.value, name=entry.name, about=about, licence=licence, origin=origin, facts=facts)


def _list_models(catalog: Catalog, register: ModelRegistry) -> Iterator[Listed]:
    for model in catalog.models:
        own = model.defaults
        yield Listed(
            kind="model",
            name=model.name,
            about=(model.family,),
            licence=model.licence or "unknown",
            origin=_origin(register.get(model.name)),
            defaults=describe_words(own),
            facts={"family": model.family, "steps": own.steps, "guidance": own.guidance}
            | {"sampler": own.sampler, "size_px": own.native_px},
        )


def _list_extras(catalog: Catalog, register: ModelRegistry) -> Iterator[Listed]:
    def of(kind: str, extra: Any, *about: str, **facts: Any) -> Listed:
        licence, origin = extra.licence or "unknown", _origin(register.get(extra.name))
        return Listed(kind=kind, name=extra.name, about=about, licence=licence, origin=origin, facts=facts)

    for kind, extras in (("lora", catalog.default.loras), ("embedding", catalog.default.embeddings)):
        for extra in extras:
            yield of(kind, extra, _base(extra), family=extra.family)
    for upscaler in catalog.default.upscalers:
        yield of("upscaler", upscaler, f"{upscaler.scale}x", scale=upscaler.scale)
    for control in catalog.controls:
        base = _control_base(control.family, control.context_width)
        about = f"{f'{control.kind}, ' if control.kind else ''}for {base}"
        yield of("controlnet", control, about, family=control.family)


def _origin(entry: Entry | None) -> str:
    if entry is None:
        return "built in"
    return entry.page or (f"{entry.source}@{entry.revision[:12]}" if entry.revision else entry.path)


def _control_base(family: str, width: int) -> str:
    """Return what a ControlNet or an IP-Adapter is for; one that reads no prompt is for all models of its family."""
    if width == 0 and family in FAMILIES:
        return FAMILIES[family].title
    return BASES.get(width, f"{family}, width {width}" if family else f"models of width {width}")


def _base(extra: PromptAddon) -> str:
    if named := name_family(extra):
        return f"for {named}"
    return f"for models of width {extra.context_width}" if extra.context_width else "for a model it does not name"
