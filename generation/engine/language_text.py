"""Reads prompts with a language model in the place of CLIP, padded to one length: Qwen3, as one user's turn of a chat,
and T5, as they stand.

Such encoders have no weights of words: brackets and numbers are read as they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from transformers import Ministral3Model, Qwen2_5_VLTextModel, Qwen3Model, Qwen3VLTextModel, T5EncoderModel

from generation.engine.devices import Device
from generation.engine.model_folder import ModelFolder
from generation.engine.text import find_dropped
from generation.requests.spec import ImageSpec

CLASSES: Mapping[str, Any] = {
    "ministral3": Ministral3Model,
    "qwen3": Qwen3Model,
    "qwen2_5_vl": Qwen2_5_VLTextModel,
    "qwen3_vl": Qwen3VLTextModel,
}
"""What reads, by the kind of language model; of those that see pictures, the half that reads."""
MAX_TOKENS = 512
"""Tokens that are read, those of the chat included: what the stock pipelines read."""


class Chat(NamedTuple):
    """What is put around a prompt, as text: no template of a folder is run.

    `unseen`: tokens at the front that the encoder reads and the denoiser is not shown. They count beside `MAX_TOKENS`.
    """

    before: str
    behind: str
    unseen: int = 0


ASKING = Chat("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n")
"""What the chat template of Qwen3 puts around one turn of a user."""
DESCRIBING = Chat(
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial"
    f" relationships of the objects and background:<|im_end|>\n{ASKING.before}",
    ASKING.behind,
    unseen=34,
)
"""What Qwen-Image and its kind put around it."""


PLAIN = Chat("", "")
"""Of models that read a prompt as it stands."""


class Read(NamedTuple):
    """The token ids of one prompt, and the end of it that did not fit."""

    ids: tuple[int, ...]
    dropped: str = ""


@dataclass(frozen=True, slots=True)
class ReadWords:
    """The tokens of one image's prompts, `[negative,] positive...`, as `read_rows` returns them."""

    read: tuple[Read, ...]

    @property
    def dropped(self) -> str:
        """The end of the first prompt that did not fit."""
        return find_dropped(self.read)


def read_rows(read: Callable[[str], Read], spec: ImageSpec) -> tuple[Read, ...]:
    """Return the tokens for each row, `[negative,] positive...`. What does not fit of a negative prompt is not told."""
    avoided = (read(spec.negative)._replace(dropped=""),) if spec.is_guided else ()
    return (*avoided, *map(read, spec.row_prompts))


class Reader(Protocol):
    """What reads prompts for a family: its tokenizer, and its encoder."""

    encoder: Any

    def read(self, prompt: str) -> Read: ...


class T5Text:
    """A tokenizer and the encoder of a T5, which reads a prompt as it stands."""

    def __init__(
        self, folder: ModelFolder, device: Device, *, part: str, max_tokens: int, sees_padding: bool = True
    ) -> None:
        """`sees_padding`: whether words see what fills up their length, as they do in most pipelines."""
        self.max_tokens = max_tokens
        self._sees_padding = sees_padding
        self._tokenizer = folder.t5_tokenizer(part.replace("text_encoder", "tokenizer"))
        self.encoder = folder.language_text(T5EncoderModel, part, device)
        self._device = device

    def read(self, prompt: str) -> Read:
        """Return the tokens of a prompt and its end mark; no model runs."""
        found = self._tokenizer(prompt, return_offsets_mapping=True, verbose=False)
        ids, most = tuple(found.input_ids), self.max_tokens
        if len(ids) <= most:
            return Read(ids)
        return Read((*ids[: most - 1], ids[-1]), prompt[found.offset_mapping[most - 1][0] :].strip())

    def encode(self, ids: tuple[int, ...]) -> Tensor:
        """Return the last state (1, `max_tokens`, width) of a prompt, always at the full length, padding and all."""
        padding = [self._tokenizer.pad_token_id] * (self.max_tokens - len(ids))
        there = torch.tensor([[*ids, *padding]], device=self._device.torch_device)
        mask = None if self._sees_padding else (torch.arange(self.max_tokens, device=there.device) < len(ids))[None]
        state: Tensor = self.encoder(input_ids=there, attention_mask=mask).last_hidden_state
        return state


def read_clip(tokenizer: Any, encoder: Any, prompt: str) -> tuple[int, ...]:
    """Return the tokens of a prompt for a CLIP beside another encoder, padded; that one reads the end of a long one."""
    length = encoder.config.max_position_embeddings
    return tuple(tokenizer(prompt, padding="max_length", max_length=length, truncation=True).input_ids)


class LanguageText:
    """A tokenizer and its language model, of a kind of `language_kinds`."""

    def __init__(self, folder: ModelFolder, device: Device, *, language: str = "qwen3", chat: Chat = ASKING) -> None:
        self._tokenizer = folder.language_tokenizer("tokenizer", language)
        self.encoder = self._load(folder, device, language)
        self._device = device
        self._chat = chat

    @property
    def unseen(self) -> int:
        """Tokens at the front that are not shown to the denoiser."""
        return self._chat.unseen

    def read(self, prompt: str) -> Read:
        """Return the tokens of a prompt in its turn of a chat; no model runs. The template is cut where it is too
        long, as the stock pipelines cut it."""
        return self._read_behind(self._chat.before, prompt)

    @staticmethod
    def _load(folder: ModelFolder, device: Device, language: str) -> Any:
        return folder.language_text(CLASSES[language], "text_encoder", device)

    def _read_behind(self, before: str, prompt: str) -> Read:
        text = f"{before}{prompt}{self._chat.behind}"
        found = self._tokenizer(text, return_offsets_mapping=True, verbose=False)
        ids, most = tuple(found.input_ids) or (self._tokenizer.bos_token_id or 0,), MAX_TOKENS + self._chat.unseen
        if len(ids) <= most:
            return Read(ids)
        return Read(ids[:most], prompt[found.offset_mapping[most][0] - len(before) :].strip())

    def hidden_states(self, ids: tuple[int, ...], *, length: int = MAX_TOKENS) -> tuple[Tensor, ...]:
        """Return the states after every layer, (1, `length`, width) each.

        Always one prompt at a length that it alone decides: the bits of an encoder depend on its shape.
        """
        padding = length - len(ids)
        there = torch.tensor([[*ids, *[self._tokenizer.pad_token_id] * padding]], device=self._device.torch_device)
        mask = torch.zeros_like(there, dtype=torch.bool)
        mask[:, : len(ids)] = True
        states: Any = self.encoder(input_ids=there, attention_mask=mask, output_hidden_states=True).hidden_states
        return tuple(states)


class FramedText(LanguageText):
    """The same, padded before the end of the template. Places in the text are counted without the padding."""

    def __init__(self, folder: ModelFolder, device: Device, *, language: str, chat: Chat) -> None:
        super().__init__(folder, device, language=language, chat=chat)
        self._end: tuple[int, ...] = tuple(self._tokenizer(chat.behind).input_ids)

    def read(self, prompt: str) -> Read:
        """Return the tokens up to the padding."""
        found = self._tokenizer(f"{self._chat.before}{prompt}", return_offsets_mapping=True, verbose=False)
        ids, most = tuple(found.input_ids), MAX_TOKENS + self._chat.unseen - len(self._end)
        if len(ids) <= most:
            return Read(ids)
        return Read(ids[:most], prompt[found.offset_mapping[most][0] - len(self._chat.before) :].strip())

    @property
    def num_end(self) -> int:
        """Tokens of the end of the template."""
        return len(self._end)

    def mask(self, ids: tuple[int, ...]) -> Tensor:
        """Return where text is in all that is read, `unseen` tokens included."""
        there = torch.ones(MAX_TOKENS + self._chat.unseen, dtype=torch.bool)
        there[len(ids) : len(there) - len(self._end)] = False
        return there

    def framed_states(self, ids: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Return the states after every layer, (1, length, width) each, padding and all."""
        mask = self.mask(ids)[None].to(self._device.torch_device)
        padding = [self._tokenizer.pad_token_id] * (mask.shape[1] - len(ids) - len(self._end))
        there = torch.tensor([[*ids, *padding, *self._end]], device=self._device.torch_device)
        places = (mask.long().cumsum(dim=-1) - 1).clamp(min=0).expand(3, 1, -1)
        inputs = {"input_ids": there, "attention_mask": mask, "position_ids": places}
        states: Any = self.encoder(**inputs, output_hidden_states=True).hidden_states
        return tuple(states)
