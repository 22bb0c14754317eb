"""Prompts to token ids: in chunks of a text encoder's length, up to a limit, naming what is dropped."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from generation.engine.families.base import Words
from generation.request import ImageSpec


def tokenize_pair(tokenizer: Any, spec: ImageSpec, *, length: int, max_chunks: int) -> Words:
    """Token ids of the prompt, and before it of the negative prompt where the image is guided.

    `length` counts the begin and end marks, so 77 makes chunks of 75 tokens. A prompt of one chunk gets the ids
    the stock pipeline gives it; longer ones are cut into chunks as AUTOMATIC1111's web UI does.
    """
    positive, dropped = _split(tokenizer, spec.prompt, length - 2, max_chunks)
    texts = [positive]
    if spec.is_guided:
        texts.insert(0, _split(tokenizer, spec.negative, length - 2, max_chunks)[0])
    num_chunks = max(len(chunks) for chunks in texts)
    return Words(torch.stack([_frame(tokenizer, chunks, length, num_chunks) for chunks in texts]), dropped)


def _split(tokenizer: Any, text: str, size: int, max_chunks: int) -> tuple[list[list[int]], str]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids
    limit = size * max_chunks
    kept = ids[:limit]
    chunks = [kept[start : start + size] for start in range(0, len(kept), size)] or [[]]
    return chunks, tokenizer.decode(ids[limit:]).strip() if len(ids) > limit else ""


def _frame(tokenizer: Any, chunks: list[list[int]], length: int, num_chunks: int) -> Tensor:
    """(chunks, length): each chunk between its marks, padded; missing chunks are empty ones."""
    padding = tokenizer.pad_token_id
    framed = []
    for index in range(num_chunks):
        chunk = chunks[index] if index < len(chunks) else []
        ids = [tokenizer.bos_token_id, *chunk, tokenizer.eos_token_id]
        framed.append(ids + [padding] * (length - len(ids)))
    return torch.tensor(framed, dtype=torch.int64)
