"""Qwen-Image-Edit, and -Plus (2509, 2511): Qwen-Image whose words see the pictures to edit, and whose network does.

The language model looks at each picture, so the padded length of the text depends on their sizes too. For the network
their latents are tokens behind the picture's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from generation.engine.devices import Device
from generation.engine.families.base import Conditioning
from generation.engine.families.masked_text import MaskedWords, pad_masked
from generation.engine.families.qwenimage import QwenImage
from generation.engine.language_text import read_rows
from generation.engine.model_folder import ModelFolder
from generation.engine.references import Seen
from generation.engine.seeing_text import GlancingText, SeeingText
from generation.requests.spec import ImageSpec


class QwenImageEdit(QwenImage):
    """The `Family` of Qwen-Image-Edit."""

    _text: SeeingText

    def tokenize(self, spec: ImageSpec) -> MaskedWords:
        sizes_px = [each.size_px for each in spec.references]
        return MaskedWords(read_rows(partial(self._text.read_beside, sizes_px=sizes_px), spec), self._text.unseen)

    def edit(self, spec: ImageSpec, words: MaskedWords, seen: Sequence[Seen]) -> Conditioning:
        references = tuple(each.reference for each in seen)
        rows = [self._cache.get((each.ids, references), partial(self._encode, each.ids, seen)) for each in words.read]
        return {**pad_masked(rows, words.key), **self._show(spec, seen)}

    @staticmethod
    def _read_with(folder: ModelFolder, device: Device) -> SeeingText:
        return SeeingText(folder, device)

    def _encode(self, ids: tuple[int, ...], seen: Sequence[Seen] = ()) -> Tensor:
        return self._text.look(ids, [each.open() for each in seen])

    def _look(self, seen: Seen) -> Tensor:
        """Return the middle of the posterior: the stock pipelines draw nothing for what is edited."""
        return self._even_out(self._read_posterior(seen.read()).mode())


class QwenImageEditPlus(QwenImageEdit):
    """The `Family` of Qwen-Image-Edit-Plus."""

    @staticmethod
    def _read_with(folder: ModelFolder, device: Device) -> SeeingText:
        return GlancingText(folder, device)
