"""Applies LoRA: PEFT adds them beside the layers of a model; they are switched between forwards, never fused.

Fusing would be a little faster and cannot be undone exactly. Beside the layers, a LoRA that is switched off changes
no bit of anyone else's picture, and which are on, how strongly and in which order is part of what a forward may be
shared by (`slot.Key`).
"""

from __future__ import annotations

import re
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from diffusers.hooks.group_offloading import _maybe_remove_and_reapply_group_offloading
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from generation.engine.errors import AddonMissingError
from generation.engine.lora_file import read_lora
from generation.engine.lora_layers import LoraLayer
from generation.requests.prompt_addons import MAX_ADAPTERS, Adapter, PromptAddon

_MAX_RESIDENT = 2 * MAX_ADAPTERS
_WHOLE = (torch.float32, torch.bfloat16, torch.float16)


class Adapters:
    """The LoRA of one loaded model: read when first asked for, the latest few kept in memory."""

    def __init__(self, loras: Sequence[PromptAddon], modules: Mapping[str, nn.Module]) -> None:
        """Take `modules` by the names that `lora_file` has for them: `unet`, `transformer`, `text_encoder` …"""
        self._loras = {lora.sha256: lora for lora in loras}
        self._modules = modules
        self._resident: OrderedDict[str, None] = OrderedDict()
        self.active: tuple[Adapter, ...] | None = ()
        """What is at work; None where it is not known: a `use` that did not come to its end."""
        self.num_changes = 0
        """How often a LoRA was put beside the layers or taken away: weights may lie elsewhere since."""

    def offer(self, loras: Sequence[PromptAddon]) -> None:
        """Know these, too. Those known before stay: images in the making may use them."""
        self._loras |= {lora.sha256: lora for lora in loras}

    def use(self, adapters: tuple[Adapter, ...]) -> None:
        """Make the model as these adapters, added up in this order, change it; with none, as it was.

        Raise `InvalidRequestError` for a LoRA that is not here or was made for another model; then what is on is
        unknown until the next call, which must set it again: PEFT switches on what it puts in.
        """
        if adapters == self.active:
            return
        self.active = None
        for adapter in adapters:
            self._require(adapter)
        for layer in self._find_layers():
            layer.enable_adapters(bool(adapters))
            if adapters:
                layer.set_adapter([adapter.sha256 for adapter in adapters], inference_mode=True)
            for adapter in adapters:
                layer.set_scale(adapter.sha256, adapter.weight)
        self.active = adapters
        self._forget_the_oldest()

    def _require(self, adapter: Adapter) -> None:
        if adapter.sha256 not in self._resident:
            if adapter.sha256 not in self._loras:
                raise AddonMissingError(name=adapter.name)
            self._add(self._loras[adapter.sha256])
        self._resident[adapter.sha256] = None
        self._resident.move_to_end(adapter.sha256)

    def _add(self, lora: PromptAddon) -> None:
        self.num_changes += 1
        for part, layers in read_lora(lora, self._modules).items():
            _inject(self._modules[part], lora.sha256, layers)

    def _forget_the_oldest(self) -> None:
        while len(self._resident) > _MAX_RESIDENT:
            name, _ = self._resident.popitem(last=False)
            self.num_changes += 1
            for layer in self._find_layers():
                layer.delete_adapter(name)

    def _find_layers(self) -> Iterator[BaseTunerLayer]:
        for module in self._modules.values():
            yield from (layer for layer in module.modules() if isinstance(layer, BaseTunerLayer))


def _inject(module: nn.Module, name: str, layers: Mapping[str, LoraLayer]) -> None:
    """Put a LoRA beside the layers it belongs to, in the model's number format, switched off."""
    like = next(weight for weight in module.parameters() if weight.dtype in _WHOLE)
    targets = "|".join(re.escape(layer) for layer in layers)
    config = LoraConfig(r=1, lora_alpha=1, target_modules=targets, init_lora_weights=False, inference_mode=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`")  # several at once are what we want
        inject_adapter_in_model(config, module, adapter_name=name)
    for layer, each in layers.items():
        beside: Any = module.get_submodule(layer)
        each.put_beside(beside, name)  # in place of the matrices of rank 1
        for added in (beside.lora_A, beside.lora_B, beside.lora_magnitude_vector):
            if name in added:  # the layer itself may be kept in fp8 or in blocks, and stay so
                added[name].to(device=like.device, dtype=like.dtype).requires_grad_(False)
    _maybe_remove_and_reapply_group_offloading(module)  # where layers are fetched one by one: these, too
