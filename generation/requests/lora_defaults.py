"""What a LoRA that makes a model paint in few steps chooses for a request: steps, guidance and sampler."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from generation.requests.decimals import read_decimal
from generation.requests.defaults import NO_OVERRIDES, DefaultOverrides, Defaults
from generation.requests.prompt_addons import Adapter, PromptAddon

_CHOICE = re.compile(r"\{[^{}]*\}")
_TAG = re.compile(r"<(?:lora|lyco):([^<>:]*)(?::([^<>:]*))?", re.IGNORECASE)


class HasDefaults(Protocol):
    """The parts of a model that fill in a spec; `generation.models.catalog.Model` has them."""

    @property
    def name(self) -> str: ...
    @property
    def defaults(self) -> Defaults: ...
    @property
    def loras(self) -> tuple[PromptAddon, ...]: ...


def find_lora_defaults(model: HasDefaults, written: Mapping[str, Any]) -> DefaultOverrides | None:
    """Return what the first LoRA of a request chooses that chooses anything; None where there is none.

    `written`: the fields of a spec that `write_prompts` returned. Of prompts that are still to be drawn, what is a
    choice itself does not count: the steps are those of all pictures. A LoRA at no weight, or less, chooses nothing.
    """
    adapters: Sequence[Adapter] = written.get("adapters", ())
    names = [each.name for each in adapters if each.weight > 0]
    if written.get("template"):
        tags = _TAG.findall(_CHOICE.sub(" ", written["prompt"]))
        names = [name.strip() for name, weight in tags if (read_decimal(weight or "1") or 0) > 0]
    if not names:
        return None
    by_name = {each.name.casefold(): each.defaults for each in model.loras if each.defaults != NO_OVERRIDES}
    return next((by_name[name.casefold()] for name in names if name.casefold() in by_name), None)
