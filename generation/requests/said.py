"""What a spec's prompts say, with the names they call taken apart into words: what rules look at."""

from __future__ import annotations

from collections.abc import Sequence

from generation.requests.prompt_addons import Adapter, Embedding
from generation.requests.prompt_schedule import Wording
from generation.rules.folding import append_names


def list_said(
    first: Wording, later: Sequence[Wording], adapters: Sequence[Adapter], embeddings: Sequence[Embedding]
) -> tuple[str, str]:
    """Return what is asked for and what is to be avoided, at one time or another."""
    prompt, negative = (" ".join(each) for each in zip(first, *later, strict=True))
    if not adapters and not embeddings:
        return prompt, negative
    wanted = [each.name for each in adapters]
    wanted += [each.name for each in embeddings if each.name.casefold() in first.prompt.casefold()]
    avoided = [each.name for each in embeddings if each.name.casefold() in first.negative.casefold()]
    return append_names(prompt, wanted), append_names(negative, avoided)
