"""Reads prompts with a language model (Qwen3) in the place of CLIP: one user's turn of a chat, padded to one length.

Such an encoder has no weights of words: brackets and numbers are read as they stand.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import Qwen3Model

from generation.engine.devices import Device
from generation.engine.model_folder import ModelFolder

MAX_TOKENS = 512
"""Tokens that are read, those of the chat included: what the stock pipelines read."""
_BEFORE, _BEHIND = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
"""What the chat template of Qwen3 puts around one turn of a user, as text: no template of a folder is run."""


class Read(NamedTuple):
    """The token ids of one prompt, and the end of it that did not fit."""

    ids: tuple[int, ...]
    dropped: str = ""


class LanguageText:
    """A tokenizer and its language model."""

    def __init__(self, folder: ModelFolder, device: Device, *, behind: str = "") -> None:
        """`behind`: text after the prompt's turn, where a pipeline adds some."""
        self._tokenizer = folder.language_tokenizer("tokenizer")
        self.encoder = folder.language_text(Qwen3Model, "text_encoder", device)
        self._device = device
        self._behind = _BEHIND + behind

    def read(self, prompt: str) -> Read:
        """Return the tokens of a prompt in its turn of a chat; no model runs. The template is cut where it is too
        long, as the stock pipelines cut it."""
        text = f"{_BEFORE}{prompt}{self._behind}"
        found = self._tokenizer(text, return_offsets_mapping=True, verbose=False)
        ids = tuple(found.input_ids)
        if len(ids) <= MAX_TOKENS:
            return Read(ids)
        unread = found.offset_mapping[MAX_TOKENS][0] - len(_BEFORE)
        return Read(ids[:MAX_TOKENS], prompt[unread:].strip())

    def hidden_states(self, ids: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Return the states after every layer, (1, `MAX_TOKENS`, width) each.

        Always one prompt at the full length: the bits of an encoder depend on its shape.
        """
        padding = MAX_TOKENS - len(ids)
        there = torch.tensor([[*ids, *[self._tokenizer.pad_token_id] * padding]], device=self._device.torch_device)
        mask = torch.zeros_like(there, dtype=torch.bool)
        mask[:, : len(ids)] = True
        states: Any = self.encoder(input_ids=there, attention_mask=mask, output_hidden_states=True).hidden_states
        return tuple(states)
