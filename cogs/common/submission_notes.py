"""What people are told about the words of a request that was accepted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cogs.common.formatting import escape_markdown
from cogs.i18n.gettext import N_, _, format_value, join_clauses
from generation.models.catalog import Model
from generation.requests.spec import GenerationRequest
from generation.requests.unread_syntax import list_prompt_notes
from generation.rules.rule import Rule
from generation.translatable import Phrase

WARNING = N_("A note about your prompt: {reasons}.")

MAX_NOTE = 800


def format_warnings(hit: Sequence[Rule]) -> str:
    """Told to the person whose prompt matched rules that only warn."""
    usual = _("it contains something that this server does not want to see")
    reasons = dict.fromkeys(escape_markdown(rule.reason) if rule.reason else usual for rule in hit)
    return _(WARNING, reasons=join_clauses([*reasons]))


def list_word_notes(request: GenerationRequest, models: Iterable[Model]) -> list[str]:
    """Told to the person whose words hold what is not read as they may mean it."""
    if request.replay is not None or request.spec.upscale is not None:
        return []
    painted = request.specs[1:] if request.drawn else request.specs
    literal = {model.name for model in models if not model.info.reads_clip}
    notes = list_prompt_notes(*painted, literal=literal)
    return [escape_markdown(format_value(note), limit=MAX_NOTE) for note in notes]


def format_ignored(ignored: Sequence[Phrase]) -> tuple[str, ...]:
    """Return what to say of defaults that were passed over."""
    return tuple(
        _(each.template, value=escape_markdown(str(each.values["value"]), limit=60), why=each.values["why"])
        for each in ignored
    )
