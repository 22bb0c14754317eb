"""Textual inversion: words that stand for a file's few vectors instead of an entry of the vocabulary.

Such a word gets token ids beyond the vocabulary. When the text encoder looks its ids up, these vectors are put in
the places of those; the encoder and the words of other users stay as they are, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from generation.engine.errors import AddonMissingError
from generation.engine.lora_file import read_checked, unusable
from generation.models.words_layout import word_tensors
from generation.requests.prompt_addons import Embedding, PromptAddon

_PLACEHOLDER = 0


class TextualInversions:
    """The textual inversions of one loaded model, for all its text encoders. Read when a prompt first calls them."""

    def __init__(self, extras: Sequence[PromptAddon], encoders: Sequence[Any]) -> None:
        self._extras = {extra.sha256: extra for extra in extras}
        self._tables: list[nn.Embedding] = [encoder.get_input_embeddings() for encoder in encoders]
        self._first_id = max(table.num_embeddings for table in self._tables)
        self._ids: dict[str, list[int]] = {}
        self._vectors: list[list[Tensor]] = [[] for _ in encoders]
        """By encoder: the vector of id `_first_id + index`."""

    def offer(self, extras: Sequence[PromptAddon]) -> None:
        """Know these, too. Those known before stay: images in the making may use them."""
        self._extras |= {extra.sha256: extra for extra in extras}

    def ids(self, embedding: Embedding) -> list[int]:
        """Return the token ids of an embedding. Raise `InvalidRequestError` if it is not here or does not fit the
        model."""
        if embedding.sha256 not in self._extras:
            raise AddonMissingError(name=embedding.name)
        if embedding.sha256 not in self._ids:
            self._ids[embedding.sha256] = self._add(self._extras[embedding.sha256])
        return self._ids[embedding.sha256]

    def encode(self, which: int, encoder: Any, ids: Tensor, **options: Any) -> Any:
        """Run a text encoder on one chunk of ids (length,), these words included."""
        learned = (ids >= self._first_id).nonzero().flatten().tolist()
        if not learned:
            return encoder(ids[None], **options)
        vectors = torch.stack([self._vectors[which][int(ids[place]) - self._first_id] for place in learned])

        def put_in(table: nn.Module, inputs: Any, found: Tensor) -> Tensor:
            found[0, learned] = vectors.to(found)
            return found

        hook = self._tables[which].register_forward_hook(put_in)
        try:
            return encoder(torch.where(ids >= self._first_id, _PLACEHOLDER, ids)[None], **options)
        finally:
            hook.remove()

    def _add(self, extra: PromptAddon) -> list[int]:
        vectors = self._read(extra)
        first = self._first_id + len(self._vectors[0])
        for kept, new in zip(self._vectors, vectors, strict=True):
            kept.extend(new)
        return list(range(first, first + len(vectors[0])))

    def _read(self, extra: PromptAddon) -> list[Tensor]:
        """Return the vectors (words, width) of each encoder, equally many words for all."""
        _, tensors = read_checked(extra)
        try:
            names = word_tensors({name: tuple(tensor.shape) for name, tensor in tensors.items()})
        except ValueError as error:
            raise unusable(extra, f"it {error}.") from None
        if len(names) != len(self._tables):
            count = f"it holds {len(names)} sets of vectors where the model has {len(self._tables)} text encoders."
            raise unusable(extra, f"{count} It was made for another kind of model.")
        vectors = [each[None] if each.dim() == 1 else each for each in (tensors[name] for name in names)]
        for table, each in zip(self._tables, vectors, strict=True):
            if each.dim() != 2 or each.shape[1] != table.embedding_dim:
                sizes = f"its words have {each.shape[-1]} numbers, here they have {table.embedding_dim}."
                raise unusable(extra, f"it was made for another kind of model: {sizes}")
        return [each.to(table.weight) for each, table in zip(vectors, self._tables, strict=True)]
