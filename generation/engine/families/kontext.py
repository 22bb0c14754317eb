"""FLUX.1 Kontext: FLUX.1 dev that sees one picture to edit, as tokens behind the picture's own."""

from __future__ import annotations

from torch import Tensor

from generation.engine.families.flux import Flux
from generation.engine.references import Seen


class Kontext(Flux):
    """The `Family` of FLUX.1 Kontext."""

    def _look(self, seen: Seen) -> Tensor:
        """Return the middle of the posterior: the stock pipeline draws nothing for what is edited."""
        pixels = seen.read().to(self._device.torch_device, self._vae.dtype)
        return self._scale(self._vae.encode(pixels).latent_dist.mode())
