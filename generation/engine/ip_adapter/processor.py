"""The attention to pictures beside each of a UNet's to words.

The processor that was there still does the attention to the words, in each memory mode and with each LoRA: it is given
the attention with two layers watched. The query is taken from behind its layer, and the sum is made before the layer
that ends the attention. In a forward that sees no picture it is called as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from generation.engine.ip_adapter.places import find_cross_attentions


@dataclass(frozen=True, slots=True)
class Seen:
    """What the rows of a forward see by one IP-Adapter."""

    to_k: Sequence[Tensor]
    """Its weights, by the place of the attention."""
    to_v: Sequence[Tensor]
    embeds: Tensor
    """(bucket, number, width); zeros in rows that see nothing."""
    strengths: Tensor
    """(bucket, 1, 1), float32."""


SEEN: ContextVar[tuple[Seen, ...]] = ContextVar("seen", default=())
"""Of the forward that a thread runs: another may run one of the same network meanwhile."""


def watch_attentions(unet: Any) -> None:
    """Put the attention to pictures beside a UNet's others, once."""
    for place, attention in enumerate(find_cross_attentions(unet)):
        if not isinstance(attention.processor, _Processor):
            attention.processor = _Processor(attention.processor, place)


class _Processor:
    """The processor of an attention to words, beside which pictures are seen."""

    def __init__(self, words: Any, place: int) -> None:
        self._words, self._place = words, place

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Any:
        seen = SEEN.get()
        watched = _Watched(attn, self._place, seen) if seen else attn
        return self._words(watched, hidden_states, encoder_hidden_states, attention_mask, temb)


class _Watched:
    """An attention in one forward: as it is, but for what is added before its last layer."""

    def __init__(self, attention: Any, place: int, seen: Sequence[Seen]) -> None:
        self._attention, self._place, self._seen = attention, place, seen
        self._query: Tensor | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._attention, name)

    def to_q(self, hidden_states: Tensor) -> Tensor:
        query: Tensor = self._attention.to_q(hidden_states)
        self._query = query
        return query

    @property
    def to_out(self) -> list[Any]:
        last, *after = self._attention.to_out
        return [lambda found: last(self._add(found)), *after]

    def _add(self, found: Tensor) -> Tensor:
        """Return what the rows found in the words with what they find in their pictures."""
        for each in self._seen:
            more = (each.strengths * self._attend(each)).to(found.dtype)
            found = torch.where(each.strengths != 0, found + more, found)
        return found

    def _attend(self, seen: Seen) -> Tensor:
        assert self._query is not None
        weights = (each[self._place] for each in (seen.to_k, seen.to_v))
        parts = (self._query, *(functional.linear(seen.embeds, weight) for weight in weights))
        rows, heads = len(self._query), self._attention.heads
        query, key, value = (part.view(rows, -1, heads, part.shape[-1] // heads).transpose(1, 2) for part in parts)
        found = functional.scaled_dot_product_attention(query, key, value)
        return found.transpose(1, 2).reshape(rows, -1, self._query.shape[-1])
