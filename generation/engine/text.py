"""Prompts to tokens: weighted, in chunks of a text encoder's length, up to a limit, naming what is dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from generation.requests.prompt_addons import Embedding, split
from generation.requests.prompt_weights import BREAK, FIRST_SYNTAX_WITH_BREAK, Weighted, parse_weights
from generation.requests.spec import ImageSpec


@dataclass(frozen=True, slots=True)
class Tokens:
    """The prompts for one text encoder; rows as `[negative,] positive...`, padded to the same number of chunks."""

    ids: Tensor
    """(rows, chunks, chunk length), int64, begin and end marks included."""
    weights: Tensor
    """Of the same shape, float32; all ones for a prompt without weights."""


@dataclass(frozen=True, slots=True)
class TokenizedPrompt:
    """What a family read from a spec's prompts: one `Tokens` for each of its text encoders."""

    tokens: tuple[Tokens, ...]
    dropped: str = ""
    """The end of the prompt that did not fit, to be shown to the user."""

    @property
    def key(self) -> int:
        """The number of chunks."""
        return int(self.tokens[0].ids.shape[1])


class HasDropped(Protocol):
    """What was read of a prompt."""

    @property
    def dropped(self) -> str: ...


class _Prompt(NamedTuple):
    chunks: list[list[tuple[int, float]]]
    dropped: str


IdsOf = Callable[[Embedding], list[int]]
"""The token ids of a textual inversion, all beyond the tokenizer's own."""


def tokenize_pair(
    tokenizer: Any, spec: ImageSpec, *, length: int, max_chunks: int, ids_of: IdsOf | None = None
) -> tuple[Tokens, str]:
    """Return the tokens of the negative prompt (if the image is guided) and of each row's, and what was dropped.

    `length` counts the begin and end marks, so 77 makes chunks of 75 tokens. A prompt of one chunk gets the ids
    the stock pipeline gives it; longer ones are cut into chunks as AUTOMATIC1111's web UI does.
    """
    learned = {each.name.casefold(): ids_of(each) for each in spec.embeddings} if ids_of else {}
    avoided = (spec.negative,) if spec.is_guided else ()
    syntax = spec.syntax_version
    prompts = [
        _read(tokenizer, learned, parse_weights(each, syntax), length - 2, max_chunks, syntax)
        for each in (*avoided, *spec.row_prompts)
    ]
    num_chunks = max(len(prompt.chunks) for prompt in prompts)
    framed = torch.tensor([_frame_chunks(tokenizer, prompt.chunks, length, num_chunks) for prompt in prompts])
    ids, weights = framed.to(torch.float64).unbind(-1)
    return Tokens(ids.long(), weights.float()), find_dropped(prompts[len(avoided) :])


def find_dropped(read: Iterable[HasDropped]) -> str:
    """Return what did not fit of the first prompt that is too long; empty if all fit."""
    return next((each.dropped for each in read if each.dropped), "")


def apply_weights(embedding: Tensor, weights: Tensor) -> Tensor:
    """Return one chunk's embedding (1, length, width) with its tokens' weights (length,) applied.

    The mean is kept, as the web UI does: without that a weight would change the whole picture's contrast.
    """
    if bool((weights == 1).all()):
        return embedding
    weighted = embedding * weights.to(embedding)[None, :, None]
    return weighted * (embedding.mean() / weighted.mean())


def _read(
    tokenizer: Any, learned: dict[str, list[int]], stretches: list[Weighted], size: int, max_chunks: int, syntax: int
) -> _Prompt:
    """Cut a prompt into chunks of `size` tokens. BREAK ends one, however little is in it."""
    chunks: list[list[tuple[int, float]]] = [[]]
    for text, weight in stretches:
        for index, part in enumerate(BREAK.split(text) if syntax >= FIRST_SYNTAX_WITH_BREAK else (text,)):
            if index:
                chunks.append([])
            for token in _tokens(tokenizer, learned, part):
                if len(chunks[-1]) == size:
                    chunks.append([])
                chunks[-1].append((token, weight))
    if len(chunks) > 1 and not chunks[-1]:
        chunks.pop()
    own = [token for chunk in chunks[max_chunks:] for token, _ in chunk if token < len(tokenizer)]
    return _Prompt(chunks[:max_chunks], tokenizer.decode(own).strip() if own else "")


def _tokens(tokenizer: Any, learned: dict[str, list[int]], text: str) -> Iterator[int]:
    for piece, is_learned in split(text, learned):
        yield from learned[piece.casefold()] if is_learned else _ids(tokenizer, piece)


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids
    return ids


def _frame_chunks(
    tokenizer: Any, chunks: list[list[tuple[int, float]]], length: int, num_chunks: int
) -> list[list[tuple[int, float]]]:
    """Return (chunks, length) pairs of id and weight: chunks between their marks, padded; missing ones are empty."""
    framed = []
    for index in range(num_chunks):
        chunk = chunks[index] if index < len(chunks) else []
        pairs = [(tokenizer.bos_token_id, 1.0), *chunk, (tokenizer.eos_token_id, 1.0)]
        framed.append(pairs + [(tokenizer.pad_token_id, 1.0)] * (length - len(pairs)))
    return framed
