"""How words, times and numbers are written in messages: safe to show, short to read. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cogs.common.message_limits import cut_text
from cogs.i18n.gettext import N_, _, format_measure, format_tenths, ngettext
from generation.policy.quota import Unit, amount
from generation.requests.spec import GenerationRequest

SEED = N_("seed {seed}")
SEEDS = N_("seeds {first}–{last}")

MAX_SHOWN = 300
BAR_CELLS = 16
_MARKDOWN = re.compile(r"([\\`*_~|<>#\[\]()@:/\-+.!{}])")
_LINK = re.compile(r"https://[\w.-]+(?::\d+)?(?:/[\w./?=&%~+-]*)?", re.ASCII)
_EIGHTHS = " ▏▎▍▌▋▊▉"


def escape_markdown(text: str, *, limit: int = MAX_SHOWN) -> str:
    """Return a person's words escaped: Discord makes no mention, link, heading or code of them."""
    return _MARKDOWN.sub(r"\\\1", cut_text(text, limit))


def bind_words(text: str) -> str:
    """Return a few words that stay on one line, such as a number and what it counts."""
    return text.replace(" ", "\u00a0")


def join_dotted(parts: Iterable[str]) -> str:
    """`128 × 128 · 20 steps`. A line may end with a dot, and never begins with one."""
    return "\u00a0· ".join(parts)


def format_small(text: str) -> str:
    """Return small print."""
    return f"-# {text}"


def format_duration(seconds: float) -> str:
    """`about 8 sec`, `about 3 min`: as exact as it is true."""
    if seconds < 1.5:
        return _("about a second")
    if seconds < 20:
        return _("about {time}", time=format_measure(seconds, "duration-second"))
    if seconds < 90:
        return _("about {time}", time=format_measure(5 * round(seconds / 5), "duration-second"))
    if seconds < 90 * 60:
        return _("about {time}", time=format_measure(seconds / 60, "duration-minute"))
    return _("about {time}", time=format_measure(seconds / 3600, "duration-hour"))


def draw_bar(progress: float) -> str:
    """Return a progress bar of block characters, fine to an eighth of a cell."""
    eighths = round(min(1.0, max(0.0, progress)) * BAR_CELLS * 8)
    full, rest = divmod(eighths, 8)
    drawn = "█" * full + (_EIGHTHS[rest] if rest else "")
    return f"`{drawn.ljust(BAR_CELLS, '·')}`"


def format_pictures(number: int) -> str:
    """`1 picture`, `3 pictures`."""
    return ngettext("{number} picture", "{number} pictures", number)


def format_standard_steps(units: int) -> str:
    """Units of cost as people read them: `3.5 standard steps`."""
    return _("{steps} standard steps", steps=format_amount(units, Unit.COST))


def format_amount(units: int, unit: Unit) -> str:
    """So much of a unit, as it is written: a number of pictures, or of standard steps to a tenth."""
    return format_tenths(amount(units, unit))


def format_settings(request: GenerationRequest, *, has_model: bool = True) -> str:
    """Return the recipe in one line of small print; of a comparison, what all its pictures share.

    `has_model`: with the name of the model, which may be said elsewhere.
    """
    spec, every = request.spec, request.specs
    width, height = spec.result_size_px
    if spec.upscale is not None:
        network = spec.upscale.network
        names = ([spec.model] if has_model else []) + ([network.name] if network else [])
        return join_dotted(map(bind_words, (f"{width} × {height}", *map(escape_markdown, names))))
    parts = {
        "result_size_px": f"{width} × {height}",
        **({"model": escape_markdown(spec.model)} if has_model else {}),
        "steps": ngettext("{number} step", "{number} steps", spec.steps),
        "guidance": _("guidance {value}", value=spec.guidance),
        "sampler": spec.sampler,
    }
    is_one = len(every) == 1
    shared = [part for name, part in parts.items() if is_one or len({getattr(each, name) for each in every}) == 1]
    if spec.start is not None:
        shared.append(_("strength {value}", value=spec.start.strength))
    return join_dotted(bind_words(part) for part in (*shared, *_format_seeds(request)))


def format_brief_settings(request: GenerationRequest) -> str:
    """Return what tells a request from others like it, where there is little room: its size and its seeds."""
    size = "{} × {}".format(*request.spec.result_size_px)
    parts = (size,) if request.spec.upscale is not None else (size, *_format_seeds(request))
    return join_dotted(map(bind_words, parts))


def format_link(page: str) -> str:
    """Return a web page as a link; an address that could end one early is shown as text."""
    return f"<{page}>" if _LINK.fullmatch(page) else escape_markdown(page)


def format_bytes(number: int) -> str:
    """`2.1 GB`, `45 MB`."""
    if number >= 1e9:
        return format_measure(number / 1e9, "digital-gigabyte", digits=1)
    return format_measure(max(1, number / 1e6), "digital-megabyte")


def make_slug(prompt: str) -> str:
    """Return a prompt as the beginning of a file name: lower-case letters, digits and dashes."""
    words = re.findall(r"[a-z0-9]+", prompt.lower())
    return "-".join(words)[:40].strip("-") or "picture"


def _format_seeds(request: GenerationRequest) -> list[str]:
    spec, count = request.spec, request.count
    if request.comparison:
        return [_(SEED, seed=spec.seed)] if len({each.seed for each in request.specs}) == 1 else []
    if spec.variation is not None or count == 1:
        return [_(SEED, seed=spec.seed)]
    last = (spec.seed + count - 1) % 2**32
    return [_(SEEDS, first=spec.seed, last=last)]
