"""Enlarges finished pictures: Swin2SR of the built-in model, ESRGAN networks that were added, else a resize."""
