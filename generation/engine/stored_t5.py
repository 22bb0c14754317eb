"""What a T5 that was filled weight by weight needs beside."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class _Apart(nn.Module):
    """A linear layer that shows no weight: T5 casts what it gives to its last one to the format of that one's weight,
    which of one in fp8 or GGUF is no format to compute in."""

    weight = None

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, input: Tensor) -> Any:
        return self.layer(input)


def complete_t5(model: Any) -> None:
    """Let a T5's encoder read the table of words that it shares, and its last layers compute in its own format."""
    model.encoder.set_input_embeddings(model.shared)
    for block in model.encoder.block:
        dense = block.layer[-1].DenseReluDense
        if hasattr(dense.wo, "kept_as"):
            dense.wo = _Apart(dense.wo)
