"""The model families, as facts: what a folder of each holds, what it takes, and how it is usually painted. No torch.

The engine's side of a family is a file in `generation/engine/families`; its README shows how to add one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType

from generation.requests.cost import WORK, Work
from generation.requests.defaults import Defaults

Components = Mapping[str, str | tuple[str, ...]]
"""The parts a model must have: folder name to the class, or classes, its index may name for it."""

_CLIP, _CLIP_2, _KL = "CLIPTextModel", "CLIPTextModelWithProjection", "AutoencoderKL"
_WORDS = ("CLIPTokenizer", "CLIPTokenizerFast")


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyInfo:
    """What is known of every model of a family. Sizes in pixels."""

    name: str
    title: str
    """As people name it."""
    pipelines: tuple[str, ...]
    """The classes that `model_index.json` names for it; the first is the plain one."""
    components: Components
    denoiser: str = "unet"
    """The part that predicts, by its folder."""
    latent_channels: int = 4
    side_multiple_px: int = 8
    """What a picture's sides are multiples of."""
    cells_per_latent: int = 1
    """Cells of the VAE that make one latent cell of the denoiser, as more channels."""
    num_blocks: int = 0
    """The `num_layers` that tells this family from one of the same pipeline; 0 for the usual one."""
    text_width: str = "cross_attention_dim"
    """The setting of the denoiser that says how many numbers a token of text has."""
    text_layers: int = 1
    """Layers of the text encoder that are read, side by side."""
    text_parts: tuple[str, ...] = ()
    """The text encoders that are read token by token, where not all are."""
    language: str = ""
    """The kind of language model that reads its prompts, as `language_kinds` names it; empty for CLIP and its like."""
    is_flow: bool = False
    """Whether it is trained by flow matching; else by diffusion. Each has its own samplers."""
    reads_clip: bool = True
    """Whether words reach it through CLIP: then clip skip, weights of words and textual inversions work."""
    max_references: int = 0
    """Pictures that it sees beside the words, to edit them by instruction; 0 where it cannot."""
    defaults: Defaults
    by_distilled: Mapping[bool | None, tuple[int, float]] = field(default_factory=dict)
    """Steps and guidance of a model whose `model_index.json` says that it is distilled, or that it is not, where that
    is another than the usual one."""

    @property
    def work(self) -> Work:
        """What one of its evaluations takes."""
        return WORK[self.name]

    @property
    def weights(self) -> tuple[str, ...]:
        """The parts that hold weights."""
        return tuple(part for part in self.components if not part.startswith(("tokenizer", "processor")))

    @property
    def text_encoders(self) -> tuple[str, ...]:
        return tuple(part for part in self.components if part.startswith("text_encoder"))


def _defaults(native_px: int) -> Defaults:
    return Defaults(steps=25, guidance=7.0, sampler="DPM++ 2M Karras", native_px=native_px)


_of_flow = partial(FamilyInfo, denoiser="transformer", side_multiple_px=16, is_flow=True, reads_clip=False)
_T5, _T5_WORDS = "T5EncoderModel", ("T5TokenizerFast", "T5Tokenizer")
_QWEN, _QWEN_WORDS = ("Qwen3Model", "Qwen3ForCausalLM"), ("Qwen2Tokenizer", "Qwen2TokenizerFast")
_KLEIN = _of_flow(
    name="klein",
    title="FLUX.2 klein 4B",
    pipelines=("Flux2KleinPipeline",),
    components={
        "text_encoder": _QWEN,
        "tokenizer": _QWEN_WORDS,
        "transformer": "Flux2Transformer2DModel",
        "vae": "AutoencoderKLFlux2",
    },
    latent_channels=32,
    cells_per_latent=4,
    text_width="joint_attention_dim",
    language="qwen3",
    text_layers=3,
    max_references=4,
    defaults=Defaults(steps=4, guidance=1.0, sampler="Euler", native_px=1024),
    by_distilled={False: (28, 4.0)},
)
_FLUX = _of_flow(
    name="flux",
    title="FLUX.1",
    pipelines=("FluxPipeline",),
    components={
        "text_encoder": _CLIP,
        "text_encoder_2": _T5,
        "tokenizer": _WORDS,
        "tokenizer_2": _T5_WORDS,
        "transformer": "FluxTransformer2DModel",
        "vae": _KL,
    },
    latent_channels=16,
    cells_per_latent=4,
    text_width="joint_attention_dim",
    text_parts=("text_encoder_2",),
    defaults=Defaults(steps=28, guidance=3.5, sampler="Euler", native_px=1024, embeds_guidance=True),
)
_SD3 = replace(
    _FLUX,
    name="sd3",
    title="Stable Diffusion 3.5 Medium",
    pipelines=("StableDiffusion3Pipeline",),
    components={
        "text_encoder": _CLIP_2,
        "text_encoder_2": _CLIP_2,
        "text_encoder_3": _T5,
        "tokenizer": _WORDS,
        "tokenizer_2": _WORDS,
        "tokenizer_3": _T5_WORDS,
        "transformer": "SD3Transformer2DModel",
        "vae": _KL,
    },
    cells_per_latent=1,
    text_parts=("text_encoder_3",),
    defaults=Defaults(steps=28, guidance=4.5, sampler="Euler", native_px=1024),
)
_QWEN_IMAGE = _of_flow(
    name="qwenimage",
    title="Qwen-Image",
    pipelines=("QwenImagePipeline",),
    components={
        "text_encoder": ("Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLModel"),
        "tokenizer": _QWEN_WORDS,
        "transformer": "QwenImageTransformer2DModel",
        "vae": "AutoencoderKLQwenImage",
    },
    latent_channels=16,
    cells_per_latent=4,
    text_width="joint_attention_dim",
    language="qwen2_5_vl",
    defaults=Defaults(steps=28, guidance=4.0, sampler="Euler", native_px=1024),
)
_QWEN_EDIT = replace(
    _QWEN_IMAGE,
    name="qwenedit",
    title="Qwen-Image-Edit",
    pipelines=("QwenImageEditPipeline",),
    components={**_QWEN_IMAGE.components, "processor": ("Qwen2VLProcessor", "Qwen2_5_VLProcessor")},
    max_references=1,
)
_TABLE = (
    FamilyInfo(
        name="sd",
        title="Stable Diffusion 1 and 2",
        pipelines=("StableDiffusionPipeline", "StableDiffusionInpaintPipeline"),
        components={"text_encoder": _CLIP, "tokenizer": _WORDS, "unet": "UNet2DConditionModel", "vae": _KL},
        defaults=_defaults(512),
    ),
    FamilyInfo(
        name="sdxl",
        title="Stable Diffusion XL",
        pipelines=("StableDiffusionXLPipeline", "StableDiffusionXLInpaintPipeline"),
        components={
            "text_encoder": _CLIP,
            "text_encoder_2": _CLIP_2,
            "tokenizer": _WORDS,
            "tokenizer_2": _WORDS,
            "unet": "UNet2DConditionModel",
            "vae": _KL,
        },
        defaults=_defaults(1024),
    ),
    _of_flow(
        name="zimage",
        title="Z-Image",
        pipelines=("ZImagePipeline",),
        components={
            "text_encoder": _QWEN,
            "tokenizer": _QWEN_WORDS,
            "transformer": "ZImageTransformer2DModel",
            "vae": _KL,
        },
        latent_channels=16,
        text_width="cap_feat_dim",
        language="qwen3",
        defaults=Defaults(steps=28, guidance=5.0, sampler="Euler", native_px=1024),
    ),
    _QWEN_IMAGE,
    _QWEN_EDIT,
    replace(
        _QWEN_EDIT,
        name="qweneditplus",
        title="Qwen-Image-Edit-Plus",
        pipelines=("QwenImageEditPlusPipeline",),
        max_references=3,
    ),
    _of_flow(
        name="krea2",
        title="Krea 2",
        pipelines=("Krea2Pipeline",),
        components={
            "text_encoder": ("Qwen3VLModel", "Qwen3VLForConditionalGeneration"),
            "tokenizer": _QWEN_WORDS,
            "transformer": "Krea2Transformer2DModel",
            "vae": "AutoencoderKLQwenImage",
        },
        latent_channels=16,
        cells_per_latent=4,
        text_width="text_hidden_dim",
        language="qwen3_vl",
        defaults=Defaults(steps=28, guidance=5.5, sampler="Euler", native_px=1024),
        by_distilled={True: (8, 1.0)},
    ),
    _of_flow(
        name="ernie",
        title="ERNIE-Image",
        pipelines=("ErnieImagePipeline",),
        components={
            "text_encoder": ("Mistral3Model", "Mistral3ForConditionalGeneration", "Ministral3Model"),
            "tokenizer": ("TokenizersBackend", "PreTrainedTokenizerFast", "LlamaTokenizerFast", "LlamaTokenizer"),
            "transformer": "ErnieImageTransformer2DModel",
            "vae": "AutoencoderKLFlux2",
        },
        latent_channels=32,
        cells_per_latent=4,
        text_width="text_in_dim",
        language="ministral3",
        defaults=Defaults(steps=28, guidance=4.0, sampler="Euler", native_px=1024),
    ),
    _KLEIN,
    replace(_KLEIN, name="klein9b", title="FLUX.2 klein 9B", num_blocks=8),
    _FLUX,
    replace(
        _FLUX,
        name="kontext",
        title="FLUX.1 Kontext",
        pipelines=("FluxKontextPipeline",),
        max_references=1,
        defaults=replace(_FLUX.defaults, guidance=2.5),
    ),
    replace(
        _FLUX,
        name="chroma",
        title="Chroma",
        pipelines=("ChromaPipeline",),
        components={
            "text_encoder": _T5,
            "tokenizer": _T5_WORDS,
            "transformer": "ChromaTransformer2DModel",
            "vae": _KL,
        },
        text_parts=(),
        defaults=Defaults(steps=40, guidance=3.0, sampler="Euler", native_px=1024),
    ),
    _SD3,
    replace(_SD3, name="sd3large", title="Stable Diffusion 3.5 Large", num_blocks=38),
)

FAMILIES: Mapping[str, FamilyInfo] = MappingProxyType({family.name: family for family in _TABLE})
"""Every family by the name that the catalogue and the engine use."""
RUN_HERE = f"These are run here: {', '.join(family.title for family in _TABLE)}."
"""What helps where a model is of none of them."""
BY_PIPELINE: Mapping[str, tuple[FamilyInfo, ...]] = {
    name: tuple(family for family in _TABLE if name in family.pipelines) for each in _TABLE for name in each.pipelines
}
"""The families of a folder, by the class that its `model_index.json` names; the usual one first."""
