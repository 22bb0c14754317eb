"""Words on pictures, cut to their room. Pure."""

from __future__ import annotations

from PIL.ImageFont import FreeTypeFont as Font


def cut_to_width(text: str, font: Font, width_px: int) -> str:
    """Return the text in one line of at most `width_px`; one that is too long ends in “…”."""
    line = " ".join(text.split())
    if font.getlength(line) <= width_px:
        return line
    fitting, too_long = 0, len(line)
    while too_long - fitting > 1:
        middle = (fitting + too_long) // 2
        if font.getlength(line[:middle].rstrip() + "…") <= width_px:
            fitting = middle
        else:
            too_long = middle
    return line[:fitting].rstrip() + "…"


def wrap_to_width(text: str, font: Font, width_px: int, *, most: int) -> list[str]:
    """Return the text in at most so many lines of `width_px`, parted between words."""
    lines, words = list[str](), text.split()
    while words and len(lines) < most - 1:
        number = next(
            (each for each in range(len(words), 1, -1) if font.getlength(" ".join(words[:each])) <= width_px), 1
        )
        lines.append(cut_to_width(" ".join(words[:number]), font, width_px))
        words = words[number:]
    return [*lines, cut_to_width(" ".join(words), font, width_px)] if words else lines
