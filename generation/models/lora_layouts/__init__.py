"""The layers of transformers that LoRA change: one file for each kind of names."""

from generation.models.lora_layouts import ernie, flux, flux2, krea2, qwenimage, sd3, zimage

LAYOUTS = (
    flux.FLUX,
    flux.CHROMA,
    flux2.LAYOUT,
    qwenimage.LAYOUT,
    sd3.LAYOUT,
    krea2.LAYOUT,
    zimage.LAYOUT,
    ernie.LAYOUT,
)
"""Those of transformers that are run here. No two are of one class of diffusers."""
