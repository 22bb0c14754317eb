"""Known nodes of ComfyUI: which input an output stands for. Unknown nodes are not guessed at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Texts:
    """Its texts lie in these inputs, put together by `delimiter`: the input of that name, or what stands for it."""

    keys: tuple[str, ...]
    delimiter: str = ", "
    delimiter_key: str = ""
    output: int | None = None
    """The one output that this is true of; None: all."""


# Conditionings.

ENCODERS: Mapping[str, Texts] = {
    "CLIPTextEncode": Texts(("text",)),
    "CLIPTextEncodeSDXL": Texts(("text_g", "text_l")),
    "CLIPTextEncodeSDXLRefiner": Texts(("text",)),
    "CLIPTextEncodeSDXL+": Texts(("text_g", "text_l")),
    "CLIPTextEncodeFlux": Texts(("clip_l", "t5xxl")),
    "CLIPTextEncodeSD3": Texts(("clip_l", "clip_g", "t5xxl")),
    "CLIPTextEncodeHunyuanDiT": Texts(("bert", "mt5xl")),
    "CLIPTextEncodePixArtAlpha": Texts(("text",)),
    "smZ CLIPTextEncode": Texts(("text",)),
    "BNK_CLIPTextEncodeAdvanced": Texts(("text",)),
    "ADV_CLIP_emb_encode": Texts(("text",)),
    "Text to Conditioning": Texts(("text",)),
    "Power Prompt (rgthree)": Texts(("prompt",), output=0),
    "Power Prompt - Simple (rgthree)": Texts(("prompt",), output=0),
    "SDXL Power Prompt - Positive (rgthree)": Texts(("prompt_g", "prompt_l"), output=0),
    "SDXL Power Prompt - Simple / Negative (rgthree)": Texts(("prompt_g", "prompt_l"), output=0),
    "ImpactWildcardEncode": Texts(("populated_text",), output=2),
    "CLIPTextEncodeWithExtra": Texts(("text",)),
}
LOADERS_WITH_TEXT: Mapping[str, Mapping[int, str]] = {
    "Efficient Loader": {1: "positive", 2: "negative"},
    "Eff. Loader SDXL": {},
}
"""Outputs that are conditionings of the texts in these inputs."""
WITHOUT_WORDS = frozenset(("ConditioningZeroOut",))
JOINING: Mapping[str, tuple[str, ...]] = {
    "ConditioningCombine": ("conditioning_1", "conditioning_2"),
    "ConditioningConcat": ("conditioning_to", "conditioning_from"),
    "ConditioningAverage": ("conditioning_to", "conditioning_from"),
    "ConditioningCombineMultiple+": ("conditioning_1", "conditioning_2", "conditioning_3", "conditioning_4"),
}
"""Several conditionings become one in a way that one prompt cannot say: their words are read, the way is named."""
_ONE = ("conditioning",)
_PAIR = ("positive", "negative")
CONDITIONING_RELAYS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            *("ConditioningSetArea", "ConditioningSetAreaPercentage", "ConditioningSetAreaStrength"),
            *("ConditioningSetMask", "ConditioningSetTimestepRange", "ControlNetApply", "FluxGuidance"),
            *("unCLIPConditioning", "ReferenceLatent", "StyleModelApply", "ConditioningSetAreaPercentageVideo"),
        ),
        _ONE,
    ),
    "GLIGENTextBoxApply": ("conditioning_to",),
    **dict.fromkeys(
        (
            *(
                "ControlNetApplyAdvanced",
                "ControlNetApplySD3",
                "ACN_AdvancedControlNetApply",
                "InpaintModelConditioning",
            ),
            *("ACN_AdvancedControlNetApply_v2", "ControlNetInpaintingAliMamaApply", "InstructPixToPixConditioning"),
        ),
        _PAIR,
    ),
    "CR Apply Multi-ControlNet": ("base_positive", "base_negative"),
    "ApplyInstantID": ("", "positive", "negative"),
}
"""Each output hands on the input named in its place, and something about where or how the words count."""

# What all kinds of values go through.

REROUTES = frozenset(("Reroute", "Reroute (rgthree)", "ReroutePrimitive|pysssss"))
"""What goes in, under whatever name, comes out."""
BUSES: Mapping[str, tuple[str, ...]] = {
    "FromBasicPipe": ("model", "clip", "vae", "positive", "negative"),
    "FromBasicPipe_v2": ("basic_pipe", "model", "clip", "vae", "positive", "negative"),
    "ToBasicPipe": ("basic_pipe",),
    **dict.fromkeys(
        ("Context (rgthree)", "Context Big (rgthree)"),
        ("base_ctx", "model", "clip", "vae", "positive", "negative", "latent", "images", "seed"),
    ),
}
PIPES = ("basic_pipe", "base_ctx")
"""Inputs in which several values come at once, by the same names."""

# Texts and numbers.

TEXTS: Mapping[str, Texts] = {
    **dict.fromkeys(("PrimitiveString", "PrimitiveStringMultiline", "PrimitiveNode"), Texts(("value",))),
    **dict.fromkeys(("String Literal", "StringConstant", "StringConstantMultiline"), Texts(("string",))),
    **dict.fromkeys(("Text Multiline", "Text Multiline (Code Compatible)", "CR Text", "JWString"), Texts(("text",))),
    **dict.fromkeys(("ttN text", "CR Prompt Text"), Texts(("text", "prompt"))),
    "Text String": Texts(("text",), output=0),
    "easy positive": Texts(("positive",)),
    "easy negative": Texts(("negative",)),
    "ShowText|pysssss": Texts(("text",)),
    "ImpactWildcardProcessor": Texts(("populated_text",)),
    "ImpactWildcardEncode": Texts(("populated_text",), output=3),
    "Power Prompt (rgthree)": Texts(("prompt",), output=3),
    "Power Prompt - Simple (rgthree)": Texts(("prompt",), output=1),
    "Text Concatenate": Texts(("text_a", "text_b", "text_c", "text_d"), delimiter_key="delimiter"),
    "StringConcatenate": Texts(("string_a", "string_b"), "", "delimiter"),
    "JoinStrings": Texts(("string1", "string2"), " ", "delimiter"),
    "CR Text Concatenate": Texts(("text1", "text2"), "", "separator"),
    "easy promptConcat": Texts(("prompt1", "prompt2"), "", "separator"),
    "Text Concatenate (JPS)": Texts(("text1", "text2", "text3", "text4", "text5"), delimiter_key="delimiter"),
}
STYLERS: Mapping[str, Mapping[int, str]] = {
    "SDXLPromptStyler": {0: "text_positive", 1: "text_negative"},
    "SDXLPromptStylerAdvanced": {},
    "easy stylesSelector": {0: "positive", 1: "negative"},
}
"""Outputs that are the texts in these inputs, with a style put around them that only its own file knows."""
NUMBERS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("PrimitiveInt", "PrimitiveFloat", "PrimitiveNode", "INTConstant", "FloatConstant"), ("value",)),
    **dict.fromkeys(("ImpactInt", "ImpactFloat", "PrimitiveBoolean"), ("value",)),
    **dict.fromkeys(("Seed (rgthree)", "CR Seed", "easy seed", "Seed", "Seed Everywhere"), ("seed",)),
    **dict.fromkeys(("easy globalSeed", "Seed Generator"), ("value", "seed")),
    **dict.fromkeys(("Int Literal", "Primitive integer [Crystools]", "ttN int", "easy int"), ("int", "value")),
    **dict.fromkeys(("Float Literal", "Primitive float [Crystools]", "ttN float", "easy float"), ("float", "value")),
    "Constant Number": ("number",),
}
SELECTORS: Mapping[str, Mapping[int, str]] = {
    "KSamplerSelect": {0: "sampler_name"},
    "Sampler Selector": {0: "sampler_name"},
    "Scheduler Selector": {0: "scheduler"},
    "Sampler Selector (Image Saver)": {0: "sampler_name"},
    "Scheduler Selector (Image Saver)": {0: "scheduler"},
}

# Samplers, and what they get from nodes beside them.

SAMPLERS = frozenset(
    (
        *("KSampler", "KSamplerAdvanced", "KSampler (Efficient)", "KSampler Adv. (Efficient)", "SamplerCustom"),
        *("SamplerCustomAdvanced", "KSampler //Inspire", "KSamplerAdvanced //Inspire", "KSampler (WAS)"),
    )
)
SCHEDULES: Mapping[str, str] = {
    "KarrasScheduler": "karras",
    "ExponentialScheduler": "exponential",
    "PolyexponentialScheduler": "polyexponential",
    "SDTurboScheduler": "turbo",
    "BetaSamplingScheduler": "beta",
    "AlignYourStepsScheduler": "align your steps",
    "GITSScheduler": "align your steps gits",
}
EMPTY_LATENTS = frozenset(("EmptyLatentImage", "EmptySD3LatentImage", "EmptyFlux2LatentImage"))
LATENT_RELAYS = frozenset(("RepeatLatentBatch", "LatentFromBatch", "SetLatentNoiseMask", "LatentBatchSeedBehavior"))
MODEL_LOADERS = ("ckpt_name", "unet_name", "model_name")
LORAS = frozenset(("LoraLoader", "LoraLoaderModelOnly", "LoraLoader|pysssss"))
LORA_STACKS = frozenset(("Power Lora Loader (rgthree)",))
BESIDE_PIXELS = frozenset(("model", "clip", "vae", "positive", "negative", "conditioning", "control_net", *PIPES))
"""Inputs that a picture or its latents do not come in by."""
HARMLESS = frozenset(("VAEDecode", "VAEDecodeTiled", *REROUTES, *BUSES))
"""What a picture may go through without being another one after it."""
