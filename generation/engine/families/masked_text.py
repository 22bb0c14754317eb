"""Text of any length beside its mask: rows are padded to a multiple, so that those of like lengths share forwards."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from generation.engine.families.base import Conditioning
from generation.engine.language_text import ReadWords

TEXT_STEP = 64


@dataclass(frozen=True, slots=True)
class MaskedWords(ReadWords):
    """The tokens of one image's prompts. `unseen`: those at the front that are not shown."""

    unseen: int = 0

    @property
    def key(self) -> int:
        """The padded length that each of its rows has."""
        longest = max(1, *(len(each.ids) - self.unseen for each in self.read))
        return longest + -longest % TEXT_STEP


def pad_rows(rows: list[Tensor], length: int) -> Tensor:
    """Return rows of text, each of its own length, padded to one length."""
    return torch.stack([torch.cat([row, row.new_zeros(length - len(row), *row.shape[1:])]) for row in rows])


def pad_masked(rows: list[Tensor], length: int) -> Conditioning:
    """Return rows of text, each of its own length, padded to one length, and where text is."""
    masks = [torch.arange(length) < len(row) for row in rows]
    return {"encoder_hidden_states": pad_rows(rows, length), "encoder_hidden_states_mask": torch.stack(masks)}
