"""Names of tensors in LoRA files. One rule for what may be added and for what is loaded; no torch.

Every name becomes a layer and a part. Layers are called as the model calls them, after `unet.`, `text_encoder.` or
`text_encoder_2.`; those of kohya's scripts keep their underscores (`lora_unet_…`), which only the model can undo.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple, NoReturn

KOHYA = ("lora_unet_", "lora_te_", "lora_te1_", "lora_te2_")
_IGNORED = "bundle_emb."
"""OneTrainer puts the textual inversions it trained beside the LoRA."""
_SETTINGS = "lora_adapter_metadata"
_NOT_PLAIN = ("use_dora", "use_rslora", "lora_bias")
_SUFFIXES = {
    r"\.lora_down\.weight": "down",
    r"\.lora_up\.weight": "up",
    r"\.alpha": "alpha",
    r"\.lora_A(\.default)?\.weight": "down",
    r"\.lora_B(\.default)?\.weight": "up",
    r"[._]lora\.down\.weight": "down",
    r"[._]lora\.up\.weight": "up",
    r"\.lora_linear_layer\.down\.weight": "down",
    r"\.lora_linear_layer\.up\.weight": "up",
}
"""How kohya's scripts, PEFT, and diffusers, old and new, end the names of a plain LoRA."""
_ENDS = tuple((re.compile(f"(?<=.){end}$"), part) for end, part in _SUFFIXES.items())
_OLD_TEXT = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}
_LDM = re.compile(r"(model\.)?diffusion_model\.(?=(input_blocks|middle_block|output_blocks)\.)")
_BLOCKS = "down_blocks|mid_block|up_blocks|conv_in|conv_out|time_embedding|add_embedding"
_BARE_UNET = re.compile(rf"({_BLOCKS})\.")
_KNOWN = re.compile(
    rf"unet\.({_BLOCKS})(\.|$)"
    r"|text_encoder(_2)?\.(text_model\.)?(encoder|embeddings)\.|text_encoder_2\.text_projection$"
    rf"|lora_unet_({_BLOCKS}|input_blocks|middle_block|output_blocks|time_embed|label_emb|out)(_|$)"
    r"|lora_te[12]?_text_model_(encoder|embeddings)_|lora_te2_text_projection$"
)
_ATTENTION_TO_PROMPT = re.compile(r"attn2[._]to_[kv]$")


class LoraTensor(NamedTuple):
    """What a tensor is: its layer, and `down`, `up` or `alpha`."""

    layer: str
    part: str


def read_name(name: str) -> LoraTensor | None:
    """Return what a tensor of that name is in a plain LoRA; None for any other."""
    for end, part in _ENDS:
        if (found := end.search(name)) is not None:
            return LoraTensor(_parse_layer(name[: found.start()], is_old=found[0].startswith("_")), part)
    return None


def read_names(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, LoraTensor]:
    """Return what every tensor of a LoRA file is.

    Raise `ValueError` saying why the file cannot be used (to follow its name in a sentence).
    """
    read: dict[str, LoraTensor] = {}
    for name in shapes:
        if name.startswith(_IGNORED):
            continue
        tensor = read_name(name)
        if tensor is None:
            raise ValueError(f"holds {name[:120]}: only plain LoRA can be used, no DoRA, LoHa, LoKr or the like")
        if not _KNOWN.match(tensor.layer):
            made_for = (
                "it was made for another kind of model than Stable Diffusion 1, 2 and XL, which have no such layer"
            )
            raise ValueError(f"changes {name[:120]}: {made_for}")
        read[name] = tensor
    _check_layers(shapes, read)
    return read


def is_ignored(name: str) -> bool:
    """Return whether a tensor may lie beside a LoRA and is not used."""
    return name.startswith(_IGNORED)


def context_width(shapes: Mapping[str, tuple[int, ...]], read: Mapping[str, LoraTensor]) -> int:
    """Return what the LoRA's parts for cross-attention read of a prompt, in numbers a token; 0 where it has none."""
    widths = (
        shapes[name][1]
        for name, (layer, part) in read.items()
        if part == "down" and not layer.startswith(("text", "lora_te")) and _ATTENTION_TO_PROMPT.search(layer)
    )
    return next(widths, 0)


def read_settings(metadata: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what PEFT wrote into a file's header, as `part.setting`; most files have nothing there.

    Raise `ValueError` as `read_names` does.
    """
    try:
        settings = json.loads(metadata.get(_SETTINGS, "{}"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ValueError("says of itself what cannot be read") from None
    if not isinstance(settings, dict):
        raise ValueError("says of itself what cannot be read")
    require_plain(settings)
    return settings


def require_plain(settings: Mapping[str, Any]) -> None:
    """Raise `ValueError` for settings of PEFT by which its matrices are more than added up."""
    for name, value in settings.items():
        if value and name.rsplit(".", 1)[-1] in _NOT_PLAIN:
            raise ValueError(f"sets {name[:60]}: only plain LoRA can be used, no DoRA or rank-stabilised ones")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and infinity, which JSON does not have


def _parse_layer(name: str, *, is_old: bool) -> str:
    """Return the layer by the model's own name.

    `is_old`: as diffusers before 0.22 wrote it, in the name of a processor.
    """
    name = name.removeprefix("base_model.model.")
    if (ldm := _LDM.match(name)) is not None:
        return "lora_unet_" + name[ldm.end() :].replace(".", "_")
    if name.startswith("text_model."):
        name = f"text_encoder.{name}"
    elif _BARE_UNET.match(name):
        name = f"unet.{name}"
    module, _, last = name.rpartition(".")
    if is_old and name.startswith("text_encoder"):
        return f"{module}.{_OLD_TEXT.get(last, last)}"
    if is_old:
        return f"{module.removesuffix('.processor')}.{'to_out.0' if last == 'to_out' else last}"
    return name


def _check_layers(shapes: Mapping[str, tuple[int, ...]], read: Mapping[str, LoraTensor]) -> None:
    """Raise `ValueError` unless every layer has two matrices that fit each other, and at most one number to scale."""
    layers: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, (layer, part) in read.items():
        if part in layers.setdefault(layer, {}):
            raise ValueError(f"holds the layer {layer[:120]} twice")
        layers[layer][part] = shapes[name]
    if len({layer.startswith(KOHYA) for layer in layers}) > 1:
        raise ValueError("mixes the names of two tools")
    for layer, parts in layers.items():
        down, up = parts.get("down", ()), parts.get("up", ())
        if not down or not up:
            raise ValueError(f"lacks one of the two matrices for {layer[:120]}")
        if not (len(down) == len(up) in (2, 4) and down[0] == up[1] and prod(down) * prod(up)):
            raise ValueError(f"holds two matrices that do not fit each other for {layer[:120]}")
        if prod(parts.get("alpha", ())) != 1:
            raise ValueError(f"scales {layer[:120]} by more than one number")
