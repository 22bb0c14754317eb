"""Reads prompts beside pictures with a whole Qwen2.5-VL: its half that sees, and its half that reads.

A picture stands in the text as many marks, each of which the half that sees fills with what it saw. Rows, columns and
words have places of their own. They are counted here: the library does it only with what its processor says beside the
tokens, which the stock pipelines of diffusers 0.42 do not hand on, and it would keep state in the network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image as PillowImage
from torch import Tensor
from transformers import Qwen2_5_VLModel

from generation.engine.devices import Device
from generation.engine.language_text import ASKING, Chat, LanguageText, Read
from generation.engine.model_folder import ModelFolder
from generation.engine.vision_patches import Cells, count_patches, cut_patches, number_tokens

_MARK = "<|image_pad|>"
_FRAME = f"<|vision_start|>{_MARK}<|vision_end|>"
_STEP_PX = 32
EDITING = Chat(
    "<|im_start|>system\nDescribe the key features of the input image (color, shape, size, texture, objects,"
    " background), then explain how the user's text instruction should alter or modify the image. Generate a new image"
    " that meets the user's requirements while maintaining consistency with the original input where appropriate."
    f"<|im_end|>\n{ASKING.before}",
    ASKING.behind,
    unseen=64,
)
"""What Qwen-Image-Edit puts around a prompt and its pictures."""


class SeeingText(LanguageText):
    """A tokenizer and a whole Qwen2.5-VL. Pictures are seen at their own size."""

    encoder: Any

    def __init__(self, folder: ModelFolder, device: Device) -> None:
        super().__init__(folder, device, language="qwen2_5_vl", chat=EDITING)
        self._patches = folder.patch_settings(self.encoder.config.vision_config)
        self._mark = folder.find_token(self._tokenizer, _MARK)

    def read_beside(self, prompt: str, sizes_px: Sequence[tuple[int, int]]) -> Read:
        """Return the tokens of a prompt behind those of pictures of these sizes; no model runs.

        Marks of pictures in the prompt itself are left out: nothing would fill them.
        """
        pictures = "".join(map(self.frame, range(1, len(sizes_px) + 1)))
        ids, dropped = self._read_behind(f"{self._chat.before}{pictures}", prompt)
        numbers = (math.prod(self._count_tokens(size_px)) for size_px in sizes_px)
        filled = (each for each in ids for _ in range(next(numbers, 0) if each == self._mark else 1))
        return Read(tuple(filled), dropped)

    def look(self, ids: tuple[int, ...], pictures: Sequence[PillowImage.Image]) -> Tensor:
        """Return (length, width) of the last layer for tokens of `read_beside`, without what describes the task."""
        there = torch.tensor([ids], device=self._device.torch_device)
        inputs: dict[str, Any] = {"input_ids": there, "attention_mask": torch.ones_like(there, dtype=torch.bool)}
        if pictures:
            inputs |= self._see(ids, pictures)
        states: Any = self.encoder(**inputs, output_hidden_states=True).hidden_states
        seen: Tensor = states[-1][0, self.unseen :]
        return seen

    def frame(self, number: int) -> str:
        """Return what stands in the text for a picture."""
        return _FRAME

    def choose_size(self, size_px: tuple[int, int]) -> tuple[int, int]:
        """Return the size at which a picture is looked at."""
        return size_px

    @staticmethod
    def _load(folder: ModelFolder, device: Device, language: str) -> Any:
        return folder.seeing_text(Qwen2_5_VLModel, "text_encoder", device)

    def _see(self, ids: tuple[int, ...], pictures: Sequence[PillowImage.Image]) -> dict[str, Tensor]:
        """Return the patches of pictures, how many rows and columns each has, and the places of all tokens."""
        begin, found = 0, list[tuple[int, Cells]]()
        for picture in pictures:
            begin = ids.index(self._mark, begin)
            cells = self._count_tokens(picture.size)
            found.append((begin, cells))
            begin += math.prod(cells)
        looked_at = [self._scale(each) for each in pictures]
        grids = [(1, *count_patches(each.size, self._patches)) for each in looked_at]
        given = {
            "pixel_values": torch.cat([cut_patches(each, self._patches) for each in looked_at]),
            "image_grid_thw": torch.tensor(grids),
            "position_ids": number_tokens(len(ids), found),
        }
        return {name: each.to(self._device.torch_device) for name, each in given.items()}

    def _scale(self, picture: PillowImage.Image) -> PillowImage.Image:
        size_px = self.choose_size(picture.size)
        return picture if size_px == picture.size else picture.resize(size_px, PillowImage.Resampling.LANCZOS)

    def _count_tokens(self, size_px: tuple[int, int]) -> Cells:
        rows, columns = count_patches(self.choose_size(size_px), self._patches)
        return rows // self._patches.merge, columns // self._patches.merge


class GlancingText(SeeingText):
    """The same, for several pictures: each has a number, and is looked at as one of 384 x 384 pixels."""

    def frame(self, number: int) -> str:
        return f"Picture {number}: {_FRAME}"

    def choose_size(self, size_px: tuple[int, int]) -> tuple[int, int]:
        ratio = size_px[0] / size_px[1]
        width = math.sqrt(384 * 384 * ratio)
        return round(width / _STEP_PX) * _STEP_PX, round(width / ratio / _STEP_PX) * _STEP_PX
