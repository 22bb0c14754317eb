"""What operators read: whom the bot serves, what was used over all, which models there are. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cogs.common.formatting import escape_markdown, format_pictures, format_small, format_standard_steps
from cogs.common.messages import Lines, MessageSpec
from cogs.common.model_lines import format_defaults, format_licence, list_default_notes
from cogs.i18n.gettext import N_, _, format_count, format_number, format_tenths, format_value, ngettext
from generation.jobs.protocol import LoadedModelInfo
from generation.models.catalog import Model
from generation.owner import DM_TENANT, USER_TENANT
from generation.policy.guild_access import AccessDecision, GuildAccess
from generation.policy.quota import Unit
from generation.policy.usage import GuildUsage
from generation.program import format_command
from generation.requests.cost import UNITS_PER_STEP
from generation.safety.checker_trust import is_harmless
from generation.scheduling.worker_status import WorkerStatus
from generation.translatable import Phrase

CLOSED = N_("Closed to new requests.")
PAUSED = N_("Paused: no new pictures are started.")
WEIGHT = N_("Server {id} has weight {value} (the usual weight is 1).")
OTHER_WEIGHT = N_("weight {value}")
ONLY_ALLOWED = N_("Only allowed servers may use the bot: {number} of them.")
ALL_BUT_DENIED = N_("Every server may use the bot, except denied ones: {number} of them.")
NOT_SERVED = N_("may not use the bot")
NOTHING_USED = N_("There were no requests.")
DIRECT_MESSAGES = N_("direct messages")
USER_INSTALLS = N_("user installs")
GPU_SECONDS = N_("{number} GPU-seconds")
CHECKED_TWICE = N_("The safety checkers look at every picture, and so does its own.")
HARMLESS = N_(
    "Needs no safety checker: it cannot paint what a checker looks for. Attached pictures work in "
    "age-restricted channels only."
)

SERVERS, USAGE, MODELS, WORKERS = "servers", "used", "models", "workers"
"""Lists that are shown by pages."""
_JUDGED = {
    AccessDecision.ALLOWED: N_("**{name}** ({id}) may use the bot."),
    AccessDecision.DENIED: N_(
        "**{name}** ({id}) may not use the bot any more. Its pictures stay, and requests in the queue are painted."
    ),
}
ALLOWED = N_("allowed")
_STANDING = {AccessDecision.ALLOWED: ALLOWED, AccessDecision.DENIED: N_("denied")}


def format_closed(num_stopping: int | None) -> str:
    """`num_stopping`: how many requests are being stopped; None where what is in line goes on."""
    if num_stopping is None:
        said = _("Requests in the queue are still painted.")
    else:
        said = ngettext("Stopping {number} request.", "Stopping {number} requests.", num_stopping)
    return " ".join(
        (_("Closed. The bot stays closed after a restart."), said, _("Use `/operator open` to open it again."))
    )


def build_state(
    admission: GuildAccess,
    *,
    num_guilds: int,
    num_running: int,
    num_waiting: int,
    is_closed: bool,
    is_paused: bool,
    workers: Sequence[WorkerStatus],
    problems: Iterable[Phrase],
) -> str:
    lines = (
        _(CLOSED) if is_closed else _("Open."),
        *([_(PAUSED)] if is_paused else []),
        _format_workers(workers),
        _(
            "{running} pictures in progress, {waiting} waiting.",
            running=format_count(num_running),
            waiting=format_count(num_waiting),
        ),
        _format_servers(num_guilds),
        format_admission(admission),
        *(format_value(each) for each in problems),
    )
    return "\n".join(lines)


def _format_workers(workers: Sequence[WorkerStatus]) -> str:
    num_up = sum(each.num_slots > 0 for each in workers)
    if len(workers) > 1:
        up, number = format_count(num_up), format_count(len(workers))
        return _("{up} of {number} workers are running: `/operator workers`.", up=up, number=number)
    return _("The worker is running.") if num_up else _("The worker is starting or restarting.")


def build_workers(workers: Sequence[WorkerStatus]) -> MessageSpec:
    """Return what each worker is doing."""
    return MessageSpec(blocks=(_("### Workers"), Lines(tuple(map(_format_worker, workers)), WORKERS)))


def _format_worker(worker: WorkerStatus) -> str:
    name = escape_markdown(worker.name, limit=60)
    why = escape_markdown(worker.trouble or "", limit=200)
    if worker.is_unfit:
        return _("**{name}** cannot be used: {why}", name=name, why=why)
    lost = [_format_losses(worker.num_losses)] if worker.num_losses else []
    if not worker.num_slots:
        notes = [format_small(" · ".join((*lost, why)))] if why else []
        if worker.is_cloud and not why:
            return _("**{name}** takes nothing now: it rests, or its month is spent.", name=name)
        return "\n".join((_("**{name}** is starting or restarting.", name=name), *notes))
    notes = [_("{running} of {number} places taken", running=worker.num_images, number=worker.num_slots)]
    if worker.units_per_s is not None:
        steps = format_count(round(60 * worker.units_per_s / UNITS_PER_STEP))
        notes.append(_("about {number} standard steps a minute", number=steps))
    notes += lost
    if worker.loaded:
        notes.append(", ".join(escape_markdown(each.name, limit=60) for each in worker.loaded))
    head = _("**{name}** takes nothing new.", name=name) if worker.is_draining else f"**{name}**"
    return "\n".join((head, format_small(" · ".join(notes))))


def _format_losses(number: int) -> str:
    return ngettext("lost {number} time since the start", "lost {number} times since the start", number)


def format_standing(guild_id: int, name: str | None, standing: AccessDecision) -> str:
    shown = _("a server I am not in") if name is None else escape_markdown(name, limit=60)
    return _(_JUDGED[standing], name=shown, id=guild_id)


def format_weight(guild_id: int, value: float) -> str:
    return _(WEIGHT, id=guild_id, value=value)


def format_admission(admission: GuildAccess) -> str:
    denied = sum(each is AccessDecision.DENIED for each in admission.standings.values())
    if admission.is_listed_only:
        allowed = format_count(len(admission.standings) - denied)
        return _(ONLY_ALLOWED, number=allowed)
    if not denied:
        return _("Every server may use the bot.")
    return _(ALL_BUT_DENIED, number=format_count(denied))


def format_announced(told: int, untold: int) -> str:
    said = ngettext("Sent to {number} server.", "Sent to {number} servers.", told)
    if not untold:
        return said
    rest = ngettext(
        "Not sent to {number} server: it has no channel where I may write, or Discord did not answer.",
        "Not sent to {number} servers: they have no channel where I may write, or Discord did not answer.",
        untold,
    )
    return f"{said} {rest}"


def build_servers(names: Mapping[int, str], admission: GuildAccess, weights: Mapping[int, float]) -> MessageSpec:
    """Every server the bot is in, and those there is a word about."""
    every = sorted(names.keys() | admission.standings.keys(), key=lambda each: (each not in names, names.get(each, "")))
    lines = tuple(_format_server(each, names.get(each), admission, weights.get(each, 1.0)) for each in every)
    listed = Lines(lines, SERVERS) if lines else _("None yet.")
    return MessageSpec(blocks=(_("### Servers"), listed, format_small(format_admission(admission))))


def _format_server(guild_id: int, name: str | None, admission: GuildAccess, weight: float) -> str:
    parts = [f"**{escape_markdown(name, limit=60)}**" if name is not None else _("bot not in server"), f"`{guild_id}`"]
    if guild_id in admission.standings:
        parts.append(_(_STANDING[admission.standings[guild_id]]))
    elif not admission.is_admitted(guild_id):
        parts.append(_(NOT_SERVED))
    if weight != 1:
        parts.append(_(OTHER_WEIGHT, value=weight))
    return " · ".join(parts)


def build_usage(
    used: Sequence[GuildUsage], names: Mapping[int, str], *, days: int, units_per_s: float | None, spent: str = ""
) -> MessageSpec:
    """Return what each server used, most work first. `units_per_s`: the recent speed of the worker, None before it is
    known; `spent`: what a cloud worker cost."""
    lines = tuple(
        f"**{number}** {_name(each.guild_id, names)} · {_format_used(each, units_per_s)}"
        for number, each in enumerate(used, start=1)
    )
    if units_per_s:
        how = _("GPU-seconds are estimated from the work done and the bot's recent speed.")
    else:
        how = _("GPU-seconds are shown after the bot has painted something since its start.")
    title = ngettext("Usage of {number} day", "Usage of {number} days", days)
    listed = Lines(lines, f"{USAGE}:{days}") if lines else _(NOTHING_USED)
    return MessageSpec(blocks=(f"### {title}", listed, *filter(None, (spent,)), format_small(how)))


def _name(guild_id: int, names: Mapping[int, str]) -> str:
    if guild_id == DM_TENANT:
        return _(DIRECT_MESSAGES)
    if guild_id == USER_TENANT:
        return _(USER_INSTALLS)
    return escape_markdown(names[guild_id], limit=60) if guild_id in names else _("`{id}` (bot removed)", id=guild_id)


def _format_used(each: GuildUsage, units_per_s: float | None) -> str:
    parts = [format_pictures(each.usage.num_images), format_standard_steps(each.usage.of(Unit.COST))]
    if units_per_s:
        seconds = each.usage.used / units_per_s
        shown = format_count(round(seconds)) if seconds >= 10 else format_number(round(seconds, 1))
        parts.append(_(GPU_SECONDS, number=shown))
    return ", ".join(parts)


def build_models(
    found: Sequence[Model],
    *,
    checks_safety: bool,
    unusable: Mapping[str, str],
    loaded: Sequence[LoadedModelInfo] = (),
) -> MessageSpec:
    """Return what each model is; the first is the default. `unusable`: why some cannot be used, by name; `loaded`: what
    is in the worker's memory."""
    lines = []
    in_memory: dict[str, list[LoadedModelInfo]] = {}
    for each in loaded:
        in_memory.setdefault(each.name, []).append(each)
    for model in found:
        head = " · ".join(
            [f"**{escape_markdown(model.name, limit=60)}**", model.family, format_licence(model), _format_hash(model)]
        )
        notes = [
            _format_memory(in_memory.get(model.name, [])),
            f"{format_defaults(model.defaults)}.",
            *list_default_notes(model.defaults),
            _format_checked(model, checks_safety=checks_safety),
        ]
        lines.append("\n".join((head, *map(format_small, notes))))
    lines += [
        _("**{name}** cannot be used: {why}", name=escape_markdown(name, limit=60), why=escape_markdown(why, limit=200))
        for name, why in unusable.items()
    ]
    command = format_command("models")
    more = format_small(
        _("The first model is the default. To add or verify models, use {command} in a shell.", command=command)
    )
    return MessageSpec(blocks=(_("### Models"), Lines(tuple(lines), MODELS), more))


def _format_memory(found: Sequence[LoadedModelInfo]) -> str:
    """Return where a model is in memory, which may be on several devices."""
    if not found:
        return _("Not in memory. It is loaded at its next picture.")
    sizes = {each.device: _("{number} MiB", number=format_tenths(each.num_bytes / 2**20)) for each in found}
    return " ".join(_("In memory on {device}: {size}.", device=device, size=size) for device, size in sizes.items())


def _format_hash(model: Model) -> str:
    return f"`{model.sha256[:12]}`" if model.sha256 else _("no hash recorded")


def _format_checked(model: Model, *, checks_safety: bool) -> str:
    if checks_safety and model.safety_checker is not None:
        return _(CHECKED_TWICE)
    if checks_safety:
        return _("The safety checkers look at every picture.")
    if is_harmless(model, is_from_upload=False):
        return _(HARMLESS)
    return _("No safety checker checks its pictures: it works in age-restricted channels only.")


def _format_servers(number: int) -> str:
    return ngettext("{number} server.", "{number} servers.", number)


def format_blocked(user_id: int, hours: int | None) -> str:
    """Return what an operator reads who blocked a person outside servers."""
    whom = f"<@{user_id}>"
    if hours is None:
        return _("{whom} cannot make requests outside servers until you unblock them.", whom=whom)
    return ngettext(
        "{whom} cannot make requests outside servers for {number} hour.",
        "{whom} cannot make requests outside servers for {number} hours.",
        hours,
        whom=whom,
    )


def format_unblocked(user_id: int) -> str:
    return _("{whom} can make requests outside servers.", whom=f"<@{user_id}>")


def format_limit(pictures: int | None) -> str:
    if pictures is None:
        return _("Outside servers there is no limit of pictures a day.")
    return ngettext(
        "Outside servers each person may make {number} picture a day.",
        "Outside servers each person may make {number} pictures a day.",
        pictures,
    )
