"""How a comparison is read: what its rows and columns are, and what tells one of its pictures from the others. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from cogs.common.formatting import MAX_SHOWN, SEED, escape_markdown, join_dotted
from cogs.i18n.gettext import N_, _, format_labelled, format_number, ngettext
from generation.images.fonts import can_draw
from generation.requests.comparison import Axis, Comparison
from generation.requests.drawing import list_prompts
from generation.requests.spec import GenerationRequest, ImageSpec

ROWS, COLUMNS, COMPARED = N_("Rows"), N_("Columns"), N_("Compared")
PROMPTS = N_("the prompts")
NO_LORA = N_("no LoRA")
MAX_LABEL = 80


def format_value_of(axis: Axis, spec: ImageSpec) -> str:
    """Return what a spec has of what is compared."""
    match axis:
        case Axis.PROMPT:
            return spec.prompt
        case Axis.MODEL:
            return spec.model
        case Axis.LORA:
            return ", ".join(f"{each.name}:{each.weight:g}" for each in spec.adapters) or _(NO_LORA)
        case Axis.SAMPLER:
            return spec.sampler
        case Axis.STEPS:
            return ngettext("{number} step", "{number} steps", spec.steps)
        case Axis.GUIDANCE:
            return _("guidance {number}", number=format_number(spec.guidance))
        case Axis.SEED:
            return _(SEED, seed=spec.seed)


def list_labels(request: GenerationRequest, layout: Comparison) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the labels of the columns, and of the rows; without rows none."""
    across, cells = layout.num_columns, request.specs
    columns = tuple(format_value_of(layout.columns, cell) for cell in cells[:across])
    if layout.rows is None:
        return columns, ()
    return columns, tuple(format_value_of(layout.rows, cell) for cell in cells[::across])


def format_cell(layout: Comparison, spec: ImageSpec) -> str:
    """Return what tells one picture from the others."""
    return ", ".join(format_value_of(axis, spec) for axis in layout.axes)


def format_picture(request: GenerationRequest, spec: ImageSpec) -> str:
    """Return the prompt of one of the pictures, and what else tells it from the others: for those who cannot see it."""
    layout = request.comparison
    if not layout or layout.axes == (Axis.PROMPT,):
        return spec.prompt
    return format_labelled(format_cell(layout, spec), spec.prompt)


def quote_prompts(request: GenerationRequest) -> str:
    """Return the prompt as a quotation, several with their numbers; of a comparison also its rows and columns."""
    prompts = _list_shown_prompts(request)
    numbers = [f"**{number}** · " if len(prompts) > 1 else "" for number in range(1, len(prompts) + 1)]
    limit = max(MAX_LABEL, MAX_SHOWN // len(prompts))  # they share the room of a message with all else
    quoted = (
        f"> {number}{escape_markdown(prompt, limit=limit)}" for number, prompt in zip(numbers, prompts, strict=True)
    )
    return "\n".join((*quoted, *format_axes(request)))


def join_prompts(request: GenerationRequest) -> str:
    """Return the prompt in one line, several with bars between them."""
    return " | ".join(_list_shown_prompts(request))


def _list_shown_prompts(request: GenerationRequest) -> list[str]:
    return list_prompts(request) if request.comparison else [request.spec.prompt]


def format_axes(request: GenerationRequest) -> list[str]:
    """Return a line for the rows and one for the columns; none of a request that compares nothing.

    Where the sheet shows numbers, for letters that its font lacks, the lines say which is which.
    """
    if not (layout := request.comparison):
        return []
    columns, rows = list_labels(request, layout)
    if layout.rows is None:
        return [_format_axis(COMPARED, layout.columns, columns)]
    return [_format_axis(ROWS, layout.rows, rows), _format_axis(COLUMNS, layout.columns, columns)]


def _format_axis(name: str, axis: Axis, labels: Iterable[str]) -> str:
    if axis is Axis.PROMPT:
        return f"**{_(name)}** {_(PROMPTS)}"
    shown = ((number, each, escape_markdown(each, limit=MAX_LABEL)) for number, each in enumerate(labels, 1))
    parts = (text if can_draw(each) else format_labelled(number, text) for number, each, text in shown)
    return f"**{_(name)}** {join_dotted(parts)}"
