"""What can be wrong with a request. The docstring of a class is the sentence a person reads."""

from __future__ import annotations

from generation.errors import InvalidRequestError


class OutOfRangeError(InvalidRequestError):
    """{name} must be a whole number from {low} to {high}, not {value}."""


class NumberOutOfRangeError(InvalidRequestError):
    """{name} must be a number from {low} to {high}, not {value}."""


class NumberNotAboveError(InvalidRequestError):
    """{name} must be a number above {low} and at most {high}, not {value}."""


class SizeOutOfRangeError(InvalidRequestError):
    """The width and height must each be from {least} to {most} pixels, in steps of {step}; \
yours are {width} x {height}."""


class UnknownAspectError(InvalidRequestError):
    """There is no aspect ratio “{name}” here. Choose one of: {aspects}."""


class ClipSkipError(InvalidRequestError):
    """Clip skip must be at most {most} with this model."""


class UnknownSamplerError(InvalidRequestError):
    """There is no sampler named “{name}” here. Choose one of: {samplers}."""


class ComparisonError(InvalidRequestError):
    """A comparison has 2 to {most} pictures in full rows, painted from words."""


# Words.


class PromptTooLongError(InvalidRequestError):
    """{name} may be at most {most} characters long, not {number}."""


class ControlCharactersError(InvalidRequestError):
    """{name} holds control characters. Remove them."""


class EmptyPromptError(InvalidRequestError):
    """{name} is empty. Describe a picture, for example: a red circle."""


class StyleNameError(InvalidRequestError):
    """A style's name may be up to {most} letters, digits, spaces and dashes."""


class FlagValueError(InvalidRequestError):
    """“{flag}” in the prompt has no value that I can read. Write for example: `--ar 3:2`, `--seed 7`, `--steps 20`, \
`--cfg 7.5`, `--count 2`, `--no people`."""


class PromptEditsTooDeepError(InvalidRequestError):
    """Prompt edits such as `[a:b:0.5]` may nest up to {most} deep. Write this prompt with fewer."""


class TooManyPromptEditsError(InvalidRequestError):
    """This prompt has {number} wordings over the steps of the picture, and at most {most} are possible. Write it with \
fewer `[a:b:0.5]` and `[a|b]`."""


# Choices in a prompt, and lists of words.


class ChoicesTooDeepError(InvalidRequestError):
    """Choices and lists may nest up to {most} deep. Write this prompt with fewer."""


class TooManyDrawsError(InvalidRequestError):
    """A picture may draw at most {most} choices, and this prompt needs more. Write it with fewer, or use shorter \
lists."""


class WordListLoopError(InvalidRequestError):
    """The list “{name}” leads back to itself, so nothing can be drawn from it."""


class UnknownWordListError(InvalidRequestError):
    """There is no list “{name}” here. Lists of this server: {available}."""


class NoWordListsError(InvalidRequestError):
    """There is no list “{name}” here: this server has no lists. To paint the underscores as they are, write a \
back-slash before them."""


class WordListNameError(InvalidRequestError):
    """A list's name may be up to {most} letters and digits, with single dashes or underscores between them."""


class EmptyWordListError(InvalidRequestError):
    """The list “{name}” has no lines. Write one choice per line."""


class TooManyWordListsError(InvalidRequestError):
    """A server may have at most {most} lists. Remove one first."""


class WordListTooLongError(InvalidRequestError):
    """The list “{name}” may have at most {most} lines, not {number}."""


class WordListCharsError(InvalidRequestError):
    """The list “{name}” may have at most {most} characters, not {number}."""


class WordListsTooLargeError(InvalidRequestError):
    """All lists of a server together may have at most {most} characters, and these have {number}."""


# LoRA and embeddings.


class UnknownLoraError(InvalidRequestError):
    """There is no LoRA named “{name}” here. Available: {available}."""


class UnknownEmbeddingError(InvalidRequestError):
    """There is no embedding named “{name}” here. Available: {available}."""


class AddonNameError(InvalidRequestError):
    """“{name}” is not a valid name of a LoRA, an embedding or an upscaler."""


class AddonNotRecordedError(InvalidRequestError):
    """“{name}” is recorded without the SHA-256 of its file, so it cannot be used."""


class AddonMismatchError(InvalidRequestError):
    """“{name}” was made for {made_for} and does not fit the model “{model}”."""


class AddonChangedError(InvalidRequestError):
    """The file of “{name}” has changed since that picture was made, so the picture cannot be made with it again."""


class AddonNamedTwiceError(InvalidRequestError):
    """“{name}” is named twice. Name it once."""


class TooManyLorasError(InvalidRequestError):
    """At most {most} LoRA can be used at once, not {number}."""


class TooManyEmbeddingsError(InvalidRequestError):
    """At most {most} embeddings can be used at once, not {number}."""


class LoraInNegativePromptError(InvalidRequestError):
    """The negative prompt cannot call a LoRA. Write it into the prompt."""


class TagInModelWordsError(InvalidRequestError):
    """{name} cannot call a LoRA. A style of a server can, or each prompt."""


class LoraWeightError(InvalidRequestError):
    """Write the weight of the LoRA “{name}” as one number from -{high} to {high}: <lora:{name}:0.8>."""


class UnknownTagError(InvalidRequestError):
    """“<{kind}:…>” is not read here. Call a LoRA like this: <lora:name:0.8>."""


# Other pictures.


class RegionError(InvalidRequestError):
    """Choose one or more of the nine parts of the picture as the region."""


class MarginStepError(InvalidRequestError):
    """Margins must be multiples of {step} pixels, and at least one of them above 0."""


class MarginsTooLargeError(InvalidRequestError):
    """The margins leave {width} x {height} pixels for the picture inside. Leave at least {least} a side."""


class MarginsWithMaskError(InvalidRequestError):
    """Margins and a mask cannot be used together. Choose one of them."""


class UpscaleFactorError(InvalidRequestError):
    """A picture can be upscaled by the factor 2, not {factor}."""


class UpscalerFactorError(InvalidRequestError):
    """The upscaler “{name}” enlarges by the factor {factors}, not {factor}."""


class UnknownUpscalerError(InvalidRequestError):
    """There is no upscaler named “{name}” here. Available: {available}."""


class TooManyControlsError(InvalidRequestError):
    """One to {most} ControlNets can be used at once, not {number}."""


class ControlRangeError(InvalidRequestError):
    """A ControlNet must begin before it ends, not begin at {begin} and end at {end}."""


class ControlSpanError(InvalidRequestError):
    """“{text}” is no part of the steps. Write where it begins and ends, from 0 to 1, for example 0-0.5."""


class ControlKindError(InvalidRequestError):
    """“{kind}” is no kind of ControlNet that is known here."""


class ControlModeError(InvalidRequestError):
    """The ControlNet “{name}” must be told what its picture is: a preprocessor, or one of these maps: {available}."""


class ControlModeUnknownError(InvalidRequestError):
    """The ControlNet “{name}” was not trained on maps of the kind “{mode}”. It knows: {available}."""


class PreprocessorUnknownError(InvalidRequestError):
    """“{name}” is nothing that can be made of a picture here. Available: {available}."""


class UnknownControlError(InvalidRequestError):
    """There is no ControlNet named “{name}” here. Available for this model: {available}."""


class ControlMismatchError(InvalidRequestError):
    """The ControlNet “{name}” does not fit the model {model}. Available for it: {available}."""


class NoControlError(InvalidRequestError):
    """No ControlNet was added for the model “{model}”, so it cannot be held to a picture. `/models` says which have \
one."""


class ControlWithUpscaleError(InvalidRequestError):
    """A picture that is only enlarged takes no ControlNet."""


class TooManyReferencesError(InvalidRequestError):
    """One to {most} pictures can be edited at once, not {number}."""


class ReferenceWithUpscaleError(InvalidRequestError):
    """A picture that is only enlarged takes no instruction. Leave out one of the two."""


class CannotEditError(InvalidRequestError):
    """The model “{model}” cannot edit by instruction. Models that can: {available}."""


class NoEditorError(InvalidRequestError):
    """No model here can edit by instruction."""


class ModelReferencesError(InvalidRequestError):
    """You gave {number} pictures to edit. The most that the model “{model}” takes is {most}: leave some out, or \
choose another model."""


class ImagePromptWithUpscaleError(InvalidRequestError):
    """A picture that is only enlarged takes no reference."""


class NoIpAdapterError(InvalidRequestError):
    """No IP-Adapter was added for the model “{model}”, so it takes no reference. `/models` says which have one."""


class UnknownIpAdapterError(InvalidRequestError):
    """There is no IP-Adapter named “{name}” for the model {model}. Available: {available}."""


class HiresFromPictureError(InvalidRequestError):
    """Hires fix cannot start from a picture. Leave out one of the two."""


class HiresTooLargeError(InvalidRequestError):
    """Hires fix would make {width} x {height} pixels. A side may be at most {most} pixels."""


class RecipeUnusableError(InvalidRequestError):
    """The recipe is damaged or was changed, so it cannot be used."""
