"""What a diffusion transformer in one file is, told from its header, and the settings that it lacks. No torch.

Such a file holds the transformer alone: under its authors' names, as ComfyUI keeps it in `diffusion_models`, with or
without a prefix, or under those of diffusers. What no shape tells is the same for all models of a kind and stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from generation.models.checkpoint import IncompatibleFileError, Shapes
from generation.models.families import BY_PIPELINE

_T = TypeVar("_T")
_PREFIXES = ("model.diffusion_model.", "diffusion_model.")
_ZIMAGE, _KLEIN = "ZImagePipeline", "Flux2KleinPipeline"
_X_ZIMAGE = ("x_embedder.weight", "all_x_embedder.2-1.weight")
_HEAD_ZIMAGE = ("layers.0.attention.q_norm.weight", "layers.0.attention.norm_q.weight")
_X_FLUX = ("img_in.weight", "x_embedder.weight")
_HEAD_FLUX = ("double_blocks.0.img_attn.norm.query_norm.scale", "transformer_blocks.0.attn.norm_q.weight")
_TEXT_FLUX = ("txt_in.weight", "context_embedder.weight")
_INNER_FLUX = ("double_blocks.0.img_mlp.2.weight", "transformer_blocks.0.ff.linear_out.weight")
_TIME_FLUX = ("time_in.in_layer.weight", "time_guidance_embed.timestep_embedder.linear_1.weight")
_GUIDED_FLUX = ("guidance_in.in_layer.weight", "time_guidance_embed.guidance_embedder.linear_1.weight")
_MODULATION_FLUX = ("double_stream_modulation_img.lin.weight", "double_stream_modulation_img.linear.weight")
_SHIFT_ZIMAGE = 3.0
"""As ComfyUI paints all of them, and as Z-Image-Turbo's own settings say."""
_BY_STEPS = {
    "shift": 3.0,
    "use_dynamic_shifting": True,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
    "time_shift_type": "exponential",
}


def strip_prefix(tensors: Mapping[str, _T]) -> dict[str, _T]:
    """Return them by their names without what ComfyUI writes before each."""
    prefix = next((each for each in _PREFIXES if any(name.startswith(each) for name in tensors)), "")
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def find_family(shapes: Shapes) -> str:
    """Return the engine's family of a transformer alone; empty if it is no transformer that is known here.

    Raise `IncompatibleFileError` for a relative of one that is run, which has the same names and other numbers.
    """
    plain = strip_prefix(shapes)
    if "x_pad_token" in plain and _find(plain, _X_ZIMAGE):
        if any(name.startswith("siglip_embedder.") for name in plain):
            raise IncompatibleFileError("is Z-Image-Omni, which edits pictures and cannot be used yet", _RUN)
        return BY_PIPELINE[_ZIMAGE][0].name
    if _find(plain, _MODULATION_FLUX) and _find(plain, _X_FLUX):
        if _find(plain, _GUIDED_FLUX):
            raise IncompatibleFileError("is FLUX.2 dev, which cannot be used here", _RUN)
        blocks = _count_blocks(plain, "double_blocks.", "transformer_blocks.")
        sizes = BY_PIPELINE[_KLEIN]
        return next((family.name for family in sizes if family.num_blocks == blocks), sizes[0].name)
    return ""


_RUN = "Of transformers in one file, Z-Image and FLUX.2 klein are run here."


def derive_transformer(shapes: Shapes, family: str) -> Mapping[str, Any]:
    """Return the settings of the transformer. Raise `IncompatibleFileError` if its shapes are unknown here."""
    plain = strip_prefix(shapes)
    try:
        return _derive_zimage(plain) if family == "zimage" else _derive_flux(plain)
    except (LookupError, ValueError, ZeroDivisionError) as error:
        problem = f"has names or shapes that no such transformer has ({str(error)[:80]})"
        raise IncompatibleFileError(problem, "Name a model folder of the same kind with --config.") from None


def derive_scheduler(family: str) -> Mapping[str, Any]:
    """Return the schedule of every transformer of a family."""
    own = {"shift": _SHIFT_ZIMAGE, "use_dynamic_shifting": False} if family == "zimage" else _BY_STEPS
    return {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, **own}


def build_index(family: str, *, hint: str) -> Mapping[str, Any]:
    """Return `model_index.json`. `hint`: the file's name, by which base models of klein are known."""
    zimage = family == "zimage"
    index: dict[str, Any] = {
        "_class_name": _ZIMAGE if zimage else _KLEIN,
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "Qwen3Model" if zimage else "Qwen3ForCausalLM"],
        "tokenizer": ["transformers", "Qwen2Tokenizer"],
        "transformer": ["diffusers", "ZImageTransformer2DModel" if zimage else "Flux2Transformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL" if zimage else "AutoencoderKLFlux2"],
    }
    return index if zimage else {**index, "is_distilled": "base" not in hint.lower()}


def _derive_zimage(shapes: Shapes) -> Mapping[str, Any]:
    dim, patch = _require(shapes, _X_ZIMAGE)
    (head,) = _require(shapes, _HEAD_ZIMAGE)
    fused = shapes.get("layers.0.attention.qkv.weight")
    keys = (fused[0] - dim) // 2 if fused else shapes["layers.0.attention.to_k.weight"][0]
    return {
        "_class_name": "ZImageTransformer2DModel",
        "all_patch_size": [2],
        "all_f_patch_size": [1],
        "in_channels": patch // 4,
        "dim": dim,
        "n_layers": _count_blocks(shapes, "layers."),
        "n_refiner_layers": _count_blocks(shapes, "noise_refiner."),
        "n_heads": dim // head,
        "n_kv_heads": keys // head,
        "norm_eps": 1e-5,
        "qk_norm": True,
        "cap_feat_dim": shapes["cap_embedder.1.weight"][1],
        "rope_theta": 256.0,
        "t_scale": 1000.0,
        "axes_dims": [head // 4, head * 3 // 8, head * 3 // 8],
        "axes_lens": [1536, 512, 512],
    }


def _derive_flux(shapes: Shapes) -> Mapping[str, Any]:
    dim, channels = _require(shapes, _X_FLUX)
    (head,) = _require(shapes, _HEAD_FLUX)
    return {
        "_class_name": "Flux2Transformer2DModel",
        "patch_size": 1,
        "in_channels": channels,
        "num_layers": _count_blocks(shapes, "double_blocks.", "transformer_blocks."),
        "num_single_layers": _count_blocks(shapes, "single_blocks.", "single_transformer_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": dim // head,
        "joint_attention_dim": _require(shapes, _TEXT_FLUX)[1],
        "timestep_guidance_channels": _require(shapes, _TIME_FLUX)[1],
        "mlp_ratio": _require(shapes, _INNER_FLUX)[1] / dim,
        "axes_dims_rope": [head // 4] * 4,
        "rope_theta": 2000,
        "eps": 1e-6,
        "guidance_embeds": False,
    }


def _find(shapes: Shapes, names: tuple[str, ...]) -> tuple[int, ...] | None:
    return next((shapes[name] for name in names if name in shapes), None)


def _require(shapes: Shapes, names: tuple[str, ...]) -> tuple[int, ...]:
    found = _find(shapes, names)
    if found is None:
        raise LookupError(names[0])
    return found


def _count_blocks(shapes: Shapes, *prefixes: str) -> int:
    """Return how many numbers follow the first prefix that is there, counted from 0."""
    for prefix in prefixes:
        numbers = {name[len(prefix) :].split(".")[0] for name in shapes if name.startswith(prefix)}
        if found := [int(number) for number in numbers if number.isdecimal()]:
            return max(found) + 1
    raise LookupError(prefixes[0])
