"""Lets rows of a forward attend to pictures, each at its own strength; all other rows keep their bits.

A cross-attention of the UNet gets a second one beside it, over the embeddings of the pictures. It runs on all rows of
the bucket, so its bits depend on the bucket alone, which the trace names. What it finds is added to the rows that have
that IP-Adapter and to no others. Images without one, and with another one, share the forward.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from generation.engine.batch import list_rows
from generation.engine.ip_adapter.networks import IpAdapter
from generation.engine.ip_adapter.processor import SEEN, Seen
from generation.engine.slot import Slot


@contextmanager
def attending(slots: Sequence[Slot], bucket: int) -> Iterator[None]:
    """Let the images' rows see their references in the forward that this thread runs meanwhile."""
    before = SEEN.set(_gather(slots, bucket))
    try:
        yield
    finally:
        SEEN.reset(before)


def _gather(slots: Sequence[Slot], bucket: int) -> tuple[Seen, ...]:
    found: dict[IpAdapter, Seen] = {}
    for slot, rows in list_rows(slots):
        embeds = slot.walk.guides.image_embeds if slot.walk is not None else None
        adapter, prompt = slot.networks.ip_adapter, slot.order.spec.image_prompt
        if adapter is None or embeds is None or not prompt:
            continue
        if adapter not in found:
            strengths = torch.zeros((bucket, 1, 1), device=embeds.device)
            empty = embeds.new_zeros((bucket, *embeds.shape[1:]))
            found[adapter] = Seen(adapter.to_k, adapter.to_v, empty, strengths)
        found[adapter].embeds[rows] = embeds
        found[adapter].strengths[rows] = prompt.strength
    return tuple(found.values())
