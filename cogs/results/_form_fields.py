"""The fields of the forms under a result. What is a choice is chosen, not typed. A form has at most five fields."""

from __future__ import annotations

from collections.abc import Mapping

from cogs.common.errors import NotANumberError, NotAWholeNumberError, OneAdapterError
from cogs.common.forms import Choice, Text
from cogs.common.message_limits import MAX_OPTION, cut_text
from cogs.i18n.gettext import N_, _, format_number
from generation.models.catalog import Model
from generation.requests.ranges import MAX_SHOWN_CHARS

PROMPT, NEGATIVE, GUIDANCE, SEED, STRENGTH, NUMBER = "prompt", "negative", "guidance", "seed", "strength", "number"
NETWORK, NETWORK_2 = "network", "network2"
USE, REPAINT, EDIT = "use", "repaint", "edit"
_MAX_CHOICES = 10
"""A choice in a form has two to ten."""
_MAX_NAME_CHARS = 60
MAX_WRITTEN_CHARS = 4000
"""As many as Discord takes in one field."""
NONE = "none"
"""The value of a choice that leaves something out."""
_STRENGTHS = {
    0.05: N_("hardly anything"),
    0.3: N_("a little"),
    0.5: N_("half of it"),
    0.75: N_("much of it"),
    0.9: N_("most of it"),
    1.0: N_("all of it"),
}
_GUIDANCES = {1.0: N_("hardly"), 3.5: N_("loosely"), 7.5: N_("closely"), 12.0: N_("very closely")}
_NOW = N_("as set now")


def build_prompt_field(value: str = "") -> Text:
    """Return the prompt, LoRA and all: these make it longer than what the model reads."""
    return Text(key=PROMPT, label=_("Prompt"), value=value, is_long=True, is_required=True, max_chars=MAX_WRITTEN_CHARS)


def build_strength_field(now: float | None) -> Choice:
    """Return how much of the picture may change. None: a new picture, if nothing else is chosen."""
    label = _("How much of the picture may change")
    choices = _list_levels(_STRENGTHS, now)
    if now is None:
        choices = ((_("Paint a new picture"), NONE), *choices)
    return Choice(key=STRENGTH, label=label, choices=choices, value=NONE if now is None else repr(now))


def build_use_field(editor: Model) -> Choice:
    """Return what becomes of a picture: painted over, or edited by a model that can."""
    edited = _("Edit it as the prompt says, with “{model}”", model=editor.name)
    return Choice(
        key=USE,
        label=_("What becomes of the picture"),
        hint=_("What is edited needs no answer to how much may change."),
        choices=((_("Paint over it"), REPAINT), (cut_text(edited, MAX_OPTION), EDIT)),
        value=REPAINT,
    )


def build_guidance_field(now: float) -> Choice:
    """Return how closely the prompt is followed."""
    label = _("How closely to follow the prompt")
    return Choice(key=GUIDANCE, label=label, choices=_list_levels(_GUIDANCES, now), value=repr(now))


def build_seed_field(now: int) -> Choice:
    choices = ((_("The same: {seed}", seed=now), str(now)), (_("A random one"), NONE))
    return Choice(key=SEED, label=_("Seed"), choices=choices, value=str(now))


def build_number_field(most: int) -> Choice:
    """Return which of several pictures."""
    choices = tuple((_("Picture {number}", number=number), str(number)) for number in range(1, most + 1))
    return Choice(key=NUMBER, label=_("Which picture"), choices=choices, value="1")


def list_network_fields(model: Model) -> list[Choice]:
    """Return what of a picture is followed, and what as well: the ControlNets and IP-Adapters of a model, as many as
    Discord offers. Nothing where there is no choice."""
    like = ((_("{name}: something like it", name=each.name[:_MAX_NAME_CHARS]), each.name) for each in model.ip_adapters)
    choices = (*((each.name, each.name) for each in model.controls), *like)
    if len(choices) < 2:
        return []
    more = ((_("Nothing else"), NONE), *choices[: _MAX_CHOICES - 1])
    return [
        Choice(key=NETWORK, label=_("What is followed"), choices=choices[:_MAX_CHOICES], value=choices[0][1]),
        Choice(key=NETWORK_2, label=_("What is followed as well"), choices=more, value=NONE),
    ]


def list_networks(texts: Mapping[str, str], model: Model) -> tuple[list[str | None], str | None]:
    """Return the ControlNets that were chosen, each once, and the IP-Adapter; None for the first ControlNet.

    Without a choice that is the model's first of either. Raise `OneAdapterError` for two IP-Adapters.
    """
    first, second = (get_answer(texts, key) for key in (NETWORK, NETWORK_2))
    if not first and not model.controls and model.ip_adapters:
        first = model.ip_adapters[0].name
    chosen = [first or None, *([second] if second not in ("", first) else [])]
    adapters = [name for name in chosen if any(each.name == name for each in model.ip_adapters)]
    if len(adapters) > 1:
        raise OneAdapterError
    return [name for name in chosen if name not in adapters], adapters[0] if adapters else None


def _list_levels(levels: Mapping[float, str], now: float | None) -> tuple[tuple[str, str], ...]:
    """Return the named levels, and between them the present one. `repr` says a number exactly."""
    values = sorted({*levels, *(() if now is None else (now,))})
    return tuple((f"{format_number(value)} · {_(levels.get(value, _NOW))}", repr(value)) for value in values)


def get_answer(texts: Mapping[str, str], key: str) -> str:
    """Return what was chosen or typed; nothing for what was left out."""
    text = texts.get(key, "")
    return "" if text == NONE else text


def parse_number(text: str, *, name: str) -> float:
    """Return a number, also as people typed it into forms of earlier versions. Raise `NotANumberError`."""
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        raise NotANumberError(name=name, text=text[:MAX_SHOWN_CHARS]) from None


def parse_whole(text: str, *, name: str) -> int:
    if not text.strip().isdecimal():
        raise NotAWholeNumberError(name=name, text=text[:MAX_SHOWN_CHARS])
    return int(text)
