"""Names of tensors in LoRA files. One rule for what may be added and for what is loaded; no torch.

Every name becomes a layer and a part. Layers are called as the model calls them, after `unet.`, `text_encoder.` or
`text_encoder_2.`; those of kohya's scripts keep their underscores (`lora_unet_…`), which only the model can undo.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from generation.models import lora_flow_names
from generation.models.lora_flow_families import MADE_FOR, find_families, list_stated, narrow
from generation.models.lora_kinds import KINDS, Extent, measure

KOHYA = {
    "lora_unet_": "unet",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
    lora_flow_names.PREFIX: "transformer",
}
"""How kohya's scripts begin names, and the part of the model that is meant."""
_LYCORIS = "lycoris_"
"""How the library LyCORIS begins names when it wraps a network by itself."""
_IGNORED = "bundle_emb."
"""OneTrainer puts the textual inversions it trained beside the LoRA."""
_SETTINGS = "lora_adapter_metadata"
_NOT_READ = "lora_bias"
_STABILISED = "use_rslora"
_SUFFIXES = {
    r"\.lora_down\.weight": "down",
    r"\.lora_up\.weight": "up",
    r"\.lora_mid\.weight": "mid",
    r"\.alpha": "alpha",
    r"\.dora_scale": "dora_scale",
    r"\.lora_A(\.default)?\.weight": "down",
    r"\.lora_B(\.default)?\.weight": "up",
    r"\.lora_magnitude_vector(\.default)?(\.weight)?": "magnitude",
    r"[._]lora\.down\.weight": "down",
    r"[._]lora\.up\.weight": "up",
    r"(?<=_lora[12])\.down\.weight": "down",
    r"(?<=_lora[12])\.up\.weight": "up",
    r"\.lora_linear_layer\.down\.weight": "down",
    r"\.lora_linear_layer\.up\.weight": "up",
    **{rf"\.{part}(\.default)?": part for part in KINDS if part.startswith(("hada", "lokr"))},
}
"""How kohya's scripts, LyCORIS, PEFT, XLabs, and diffusers, old and new, end the names of a LoRA's tensors."""
_ENDS = tuple((re.compile(f"(?<=.){end}$"), part) for end, part in _SUFFIXES.items())
_OLD_TEXT = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}
_LDM = re.compile(r"(model\.)?diffusion_model\.(?=(input_blocks|middle_block|output_blocks)\.)")
_BLOCKS = "down_blocks|mid_block|up_blocks|conv_in|conv_out|time_embedding|add_embedding"
_BARE_UNET = re.compile(rf"({_BLOCKS})\.")
_BARE_TEXT = re.compile(r"(text_model\.)?(encoder\.layers|embeddings)\.")
_KNOWN = re.compile(
    rf"unet\.({_BLOCKS})(\.|$)"
    r"|text_encoder(_2)?\.(text_model\.)?(encoder|embeddings)\.|text_encoder_2\.text_projection$"
    rf"|lora_unet_({_BLOCKS}|input_blocks|middle_block|output_blocks|time_embed|label_emb|out)(_|$)"
    r"|lora_te[12]?_(text_model_)?(encoder|embeddings)_|lora_te2_text_projection$"
)
_KINDS_READ = "LoRA, LoCon, LoHa, LoKr and DoRA are read, and no other kind (such as OFT, GLoRA or whole weights)"
_TEXTS_READ = "of text encoders, LoRA change the CLIP of FLUX.1 and Stable Diffusion 3.5, and no other"
_ATTENTION_TO_PROMPT = re.compile(r"attn2[._]to_[kv]$")
_OTHER_FAMILIES = (
    (r"motion_modules?[._]", "AnimateDiff"),
    (r"(^|[._])blocks[._]\d+[._](self_attn|cross_attn|ffn)[._]", "Wan"),
)
"""Kinds of models that are not run here, by what only their layers are called; the first that is found is named."""


class LoraTensor(NamedTuple):
    """What a tensor is: its layer, and its part there (`lora_kinds.KINDS`)."""

    layer: str
    part: str


def read_name(name: str) -> LoraTensor | None:
    """Return what a tensor of that name is in a LoRA of a kind that is read; None for any other."""
    for end, part in _ENDS:
        if (found := end.search(name)) is not None:
            return LoraTensor(_parse_layer(name[: found.start()], is_old=found[0].startswith("_")), part)
    return None


def is_lora(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Return whether a file is a LoRA, of whatever kind."""
    return any(name.startswith((*KOHYA, _LYCORIS)) or read_name(name) is not None for name in shapes)


def read_names(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, LoraTensor]:
    """Return what every tensor of a LoRA file is.

    Raise `ValueError` saying why the file cannot be used (to follow its name in a sentence).
    """
    names, read = [name for name in shapes if not is_ignored(name)], dict[str, LoraTensor]()
    is_flow = lora_flow_names.is_of_transformer(names)
    if family := _find_other_family(names):
        raise ValueError(f"was made for {family}, {MADE_FOR}")
    for name in names:
        tensor = read_name(name)
        if tensor is None:
            raise ValueError(f"holds {name[:120]}: {_KINDS_READ}")
        if not is_flow and not _KNOWN.match(tensor.layer):
            raise ValueError(f"changes {name[:120]}: it was made for {MADE_FOR}, which have no such layer")
        if is_flow and not lora_flow_names.name_layer(tensor.layer):
            raise ValueError(f"changes {name[:120]}: {_TEXTS_READ}")
        read[name] = tensor
    if is_flow:
        repeated = lora_flow_names.find_repeated(layer for layer, _ in read.values())
        read = {
            name: tensor._replace(layer=lora_flow_names.name_layer(tensor.layer))
            for name, tensor in read.items()
            if tensor.layer not in repeated
        }
    _check_layers(shapes, read)
    return read


def find_family(
    shapes: Mapping[str, tuple[int, ...]], read: Mapping[str, LoraTensor], metadata: Mapping[str, str]
) -> str:
    """Return the families of a LoRA for a transformer, with blanks between; empty for one for Stable Diffusion.

    Raise `ValueError` as `read_names` does for one that fits none.
    """
    if not any(layer.startswith(lora_flow_names.PREFIX) for layer, _ in read.values()):
        return ""
    return " ".join(narrow(find_families(_check_layers(shapes, read)), list_stated(metadata)))


def _find_other_family(names: Sequence[str]) -> str:
    """Return the kind of model that a LoRA for none of ours was made for; empty where no name tells."""
    found = (family for pattern, family in _OTHER_FAMILIES if any(re.search(pattern, name) for name in names))
    return next(found, "")


def is_ignored(name: str) -> bool:
    """Return whether a tensor may lie beside a LoRA and is not used."""
    return name.startswith(_IGNORED)


def context_width(shapes: Mapping[str, tuple[int, ...]], read: Mapping[str, LoraTensor]) -> int:
    """Return what the LoRA's parts for cross-attention read of a prompt, in numbers a token; 0 where it has none.

    Raise `ValueError` as `read_names` does if it has parts for two kinds of models.
    """
    widths = {
        extent.takes
        for layer, extent in _check_layers(shapes, read).items()
        if not layer.startswith(("text", "lora_te")) and _ATTENTION_TO_PROMPT.search(layer)
    }
    if len(widths) > 1:
        raise ValueError(f"reads prompts of {min(widths)} and of {max(widths)} numbers a token: no model has both")
    return next(iter(widths), 0)


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
    return settings


def check_settings(settings: Mapping[str, Any], read: Mapping[str, LoraTensor]) -> None:
    """Raise `ValueError` for settings of PEFT by which the tensors of a file mean more than is read here."""
    for name, value in settings.items():
        last = name.rsplit(".", 1)[-1]
        if value and last == _NOT_READ:
            raise ValueError(f"sets {name[:60]}: LoRA that have biases are not read")
        if value and last == _STABILISED and not _is_number(settings.get(f"{name.removesuffix(last)}lora_alpha")):
            raise ValueError(f"sets {name[:60]}, and does not say lora_alpha")
        if value and last == "use_dora" and not any(part == "magnitude" for _, part in read.values()):
            raise ValueError(f"sets {name[:60]}, and holds none of a DoRA's magnitudes")


def read_scale(settings: Mapping[str, Any], layer: str, rank: int) -> float:
    """Return what PEFT's settings say that a layer (`part.name`) is scaled by; 1 where they say nothing."""
    part, _, name = layer.partition(".")
    alpha, pattern = settings.get(f"{part}.lora_alpha"), settings.get(f"{part}.alpha_pattern")
    if isinstance(pattern, dict):
        alpha = next((value for key, value in pattern.items() if name.endswith(key.removeprefix("^"))), alpha)
    return scale(alpha, rank, is_stabilised=bool(settings.get(f"{part}.{_STABILISED}")))


def scale(alpha: Any, rank: int, *, is_stabilised: bool) -> float:
    """Return what a change of that rank is multiplied by; 1 where `alpha` is no number.

    `is_stabilised`: trained with `use_rslora`, which divides by the root of the rank.
    """
    return float(alpha) / (math.sqrt(rank) if is_stabilised else rank) if _is_number(alpha) else 1.0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and infinity, which JSON does not have


def _parse_layer(name: str, *, is_old: bool) -> str:
    """Return the layer by the model's own name.

    `is_old`: as diffusers before 0.22 wrote it, in the name of a processor.
    """
    name = name.removeprefix("base_model.model.")
    if name.startswith(_LYCORIS):
        return _parse_lycoris(name.removeprefix(_LYCORIS))
    if (ldm := _LDM.match(name)) is not None:
        return "lora_unet_" + name[ldm.end() :].replace(".", "_")
    if _BARE_TEXT.match(name):
        name = f"text_encoder.{name}"
    elif _BARE_UNET.match(name):
        name = f"unet.{name}"
    module, _, last = name.rpartition(".")
    if is_old and name.startswith("text_encoder"):
        return f"{module}.{_OLD_TEXT.get(last, last)}"
    if is_old:
        return f"{module.removesuffix('.processor')}.{'to_out.0' if last == 'to_out' else last}"
    return name


def _parse_lycoris(name: str) -> str:
    """Return a layer of a network that LyCORIS wrapped by itself as kohya's scripts call it."""
    named = re.match(r"(unet|te[12]?)_", name)
    if named is not None:
        return f"lora_{name}"
    return f"lora_te_{name}" if name.startswith(("text_model_", "encoder_layers_")) else f"lora_unet_{name}"


def _check_layers(shapes: Mapping[str, tuple[int, ...]], read: Mapping[str, LoraTensor]) -> dict[str, Extent]:
    """Return what each layer's tensors add up to. Raise `ValueError` unless they belong together."""
    layers: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, (layer, part) in read.items():
        if part in layers.setdefault(layer, {}):
            raise ValueError(f"holds the layer {layer[:120]} twice")
        layers[layer][part] = shapes[name]
    if len({layer.startswith(tuple(KOHYA)) for layer in layers}) > 1:
        raise ValueError("mixes the names of two tools")
    extents: dict[str, Extent] = {}
    for layer, parts in layers.items():
        try:
            extents[layer] = measure(parts)
        except ValueError as error:
            raise ValueError(f"{error} for {layer[:120]}") from None
    return extents
