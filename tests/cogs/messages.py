"""Every message in all sizes: nothing, one, many; empty names and the longest; characters of every kind."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from discord import ui
from hypothesis import strategies as st

from cogs.common.messages import MessageSpec, Picture
from cogs.help import _messages as help_pages
from cogs.history import _messages as history_pages
from cogs.me import _messages as me_pages
from cogs.models import _messages as model_pages
from cogs.moderation import _messages as moderation_pages
from cogs.operator import _messages as operating_pages
from cogs.privacy import _cog as privacy
from cogs.queue import _messages as queue_pages
from cogs.quota import _messages as quota_pages
from cogs.recipe import _messages as recipe_pages
from cogs.results import _messages as replies
from cogs.results import _pictures as picture_pages
from cogs.results._by_picture import list_painted_elsewhere
from cogs.rules import _messages as rules_pages
from cogs.settings import _audit_log as changes
from cogs.settings import _defaults_messages as defaults_pages
from cogs.settings import _notes as settings_notes
from cogs.settings import _style_messages as style_pages
from cogs.settings import _views as settings_view
from cogs.settings._field_kinds import Installed
from cogs.settings._fields import FIELDS, PAGES
from cogs.share import _messages as share_pages
from cogs.token import _messages as token_pages
from cogs.usage import _messages as usage_pages
from cogs.word_lists import _messages as list_pages
from db.stores.api_keys import MAX_KEYS, MAX_NAME, ApiKey
from db.stores.moderation import Refusals
from generation import errors
from generation.cloud.money import CloudTerms
from generation.images.interchange import ForeignSettings
from generation.images.replay import Agreement, ReplayVerdict
from generation.jobs.delivery import Delivery, DeliveryState
from generation.jobs.history import HistoryFilter, Relatives
from generation.jobs.job import Image, Job, ReplyTo, Status
from generation.jobs.protocol import LoadedModelInfo
from generation.models.catalog import Model
from generation.owner import Owner
from generation.policy.audit import Change
from generation.policy.guild_access import AccessDecision, GuildAccess
from generation.policy.guild_preferences import MAX_NAMED, ChannelDefaults, GuildPreferences, Visibility
from generation.policy.guild_settings import GuildSettings
from generation.policy.member_preferences import MemberPreferences, NotifyBy
from generation.policy.quota import Allowance, Quota, Scope, Unit, Usage
from generation.policy.usage import Day, GuildUsage, MemberUsage
from generation.requests.comparison import Axis, Comparison
from generation.requests.defaults import Defaults
from generation.requests.prompt import MAX_PROMPT_CHARS
from generation.requests.prompt_addons import Adapter, PromptAddon
from generation.requests.recipe import CLOUD, Fingerprint, Recipe
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.requests.style import MAX_NAME_CHARS, MAX_STYLES, Style
from generation.requests.word_lists import MAX_LISTS
from generation.rules.rule import MAX_REASON_CHARS, MAX_TEXT_CHARS, Action, Kind, Rule
from generation.rules.rulebook import Hit
from generation.safety.visibility import SafetyScores, Shown
from generation.scheduling.active_jobs import JobView
from generation.scheduling.worker_status import WorkerStatus
from generation.translatable import Phrase
from generation.validation import stored

Draw = Callable[[st.SearchStrategy[Any]], Any]
ID = 2**63 - 1
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SIGNS = (
    "a",
    "ab ",
    "*",
    "`",
    "``",
    "\\",
    "😀",
    "e\u0301",
    "👩\u200d👩\u200d👧 ",
    "ﷺ",
    "@everyone ",
    "```\n",
    "\u202e",
    "ü",
)
JOB_ID = "j" * 22


def text(draw: Draw, most: int, least: int = 0) -> str:
    """Return so many characters of one kind; a length near a limit finds more than random letters do."""
    sign = draw(st.sampled_from(SIGNS))
    length = draw(st.sampled_from((least, min(1, most), most // 3, most)))
    return (sign * (length // len(sign) + 1))[:length]


def many(draw: Draw, most: int, make: Callable[[int], Any]) -> tuple[Any, ...]:
    """Return none, one or many. They differ by their number only, so that large ones are quick to build."""
    return tuple(make(number) for number in range(draw(st.sampled_from((0, 1, 2, most // 4, most)))))


def flag(draw: Draw) -> bool:
    return bool(draw(st.booleans()))


def picture(number: int = 0) -> Picture:
    return Picture(f"{number}.png", b"png", "😀" * 1500)


# Values.


def spec(draw: Draw) -> ImageSpec:
    with stored():
        return ImageSpec(
            prompt=text(draw, MAX_PROMPT_CHARS),
            negative=text(draw, MAX_PROMPT_CHARS),
            model=text(draw, 64),
            width_px=2048,
            height_px=2048,
            steps=150,
            guidance=29.99,
            sampler="DPM++ 2M SDE Karras",
            seed=2**32 - 1,
            adapters=many(draw, 4, lambda number: Adapter(name=f"{number}" + "x" * 60, sha256="ab" * 32)),
        )


def recipe(draw: Draw, made: ImageSpec) -> Recipe:
    trace = text(draw, 400)
    return Recipe(
        spec=made,
        model_sha256="ab" * 32,
        trace=trace,
        fingerprint=Fingerprint({CLOUD: text(draw, 300)} if flag(draw) else {"torch": "2.13"}),
        pixels_sha256="cd" * 32,
        parents=many(draw, 12, lambda number: "ef" * 32),
        dropped=text(draw, 1200),
    )


def job(draw: Draw, *, recipes: bool = False) -> Job:
    made = spec(draw)
    failures = [name for name in dir(errors) if isinstance(getattr(errors, name), type)]
    kept = recipe(draw, made) if recipes or flag(draw) else None
    images = tuple(
        Image(
            job_id=JOB_ID,
            index=index,
            spec=made,
            reserved=10,
            attempt=3,
            status=Status.DONE if recipes else draw(st.sampled_from(Status)),
            recipe=kept,
            file_sha256="ab" * 32 if flag(draw) else None,
            error=draw(st.sampled_from(failures)),
        )
        for index in range(draw(st.sampled_from((1, 4, 10))))
    )
    with stored():
        request = GenerationRequest(spec=made, count=len(images))
        if len(images) > 1 and flag(draw):
            axis, other = draw(st.permutations(tuple(Axis)))[:2]
            has_rows = len(images) > 2 and flag(draw)
            layout = Comparison(
                columns=axis, num_columns=len(images) // (2 if has_rows else 1), rows=other if has_rows else None
            )
            cells = tuple(replace(made, prompt=f"{each.index} {made.prompt}"[:1500]) for each in images)
            images = tuple(replace(each, spec=cell) for each, cell in zip(images, cells, strict=True))
            request = replace(request, spec=cells[0], comparison=layout, cells=cells)
    return Job(id=JOB_ID, owner=Owner(ID, ID), request=request, created_at=NOW, images=images)


def delivery(draw: Draw) -> Delivery:
    to = ReplyTo(application_id=ID, channel_id=ID, message_id=ID if flag(draw) else None)
    return Delivery(job_id=JOB_ID, reply_to=to, state=draw(st.sampled_from(DeliveryState)), last_error=text(draw, 200))


def rule(draw: Draw) -> Callable[[int], Rule]:
    ids = many(draw, 25, lambda number: ID - number)
    words, reason = text(draw, MAX_TEXT_CHARS, 1), text(draw, MAX_REASON_CHARS)
    kind, action = draw(st.sampled_from(Kind)), draw(st.sampled_from(Action))
    words = "x" * len(words) if kind is Kind.PATTERN else words

    def make(number: int) -> Rule:
        with stored():
            return Rule(
                kind=kind, text=words, action=action, reason=reason, channel_ids=ids, role_ids=ids, id=10_000 + number
            )

    return make


def quota(draw: Draw) -> Callable[[int], Quota]:
    scope, unit = draw(st.sampled_from(Scope)), draw(st.sampled_from(Unit))
    hours = draw(st.sampled_from((None, 1, 744)))
    return lambda number: Quota(
        scope=scope, subject_id=ID - number, unit=unit, limit=10**6 * 1000 - number, window_hours=hours
    )


def style(draw: Draw) -> Callable[[int], Style]:
    prompt, negative, rest = text(draw, 1500), text(draw, 1500), text(draw, MAX_NAME_CHARS - 2)

    def make(number: int) -> Style:
        with stored():
            return Style(guild_id=ID, name=f"{number:02}{rest}", prompt=prompt, negative=negative)

    return make


def model(draw: Draw) -> Callable[[int], Model]:
    name, licence = text(draw, 150), text(draw, 120)
    words: dict[str, Any] = {"prefix": text(draw, 1500), "suffix": text(draw, 1500), "negative": text(draw, 1500)}
    guidance = draw(st.sampled_from((1.0, 4.0)))
    defaults = Defaults(steps=20, guidance=guidance, sampler="Euler", native_px=512, clip_skip=2, **words)
    return lambda number: Model(
        name=f"{number}{name}", path=Path("m"), family="sd", licence=licence, defaults=defaults, sha256="ab" * 32
    )


def used() -> Usage:
    return Usage(num_images=10**9, reserved=10**12, used=10**12)


def days() -> list[Day]:
    return [Day(date(2026, 11, 1) + timedelta(days=number), used()) for number in range(14)]


def settings(draw: Draw) -> GuildSettings:
    with stored():
        ids = many(draw, MAX_NAMED, lambda number: ID - number)
        named = many(draw, MAX_NAMED, lambda number: f"gone-{number}")
        return GuildSettings(
            guild_id=ID,
            choices=GuildPreferences(
                models=named,
                default_model=draw(st.sampled_from((None, *(named or ["m" * 100])))),
                default_upscaler=draw(st.sampled_from((None, "u" * 64))),
                channel_ids=ids,
                role_ids=ids,
                start_image_role_ids=ids,
                log_channel_id=ID if flag(draw) else 0,
                requests_per_minute=7,
                max_steps=99,
            ),
        )


# Messages.


def result(draw: Draw) -> MessageSpec:
    made = job(draw)
    pictures = {image.index: picture(image.index) for image in made.images if flag(draw)}
    agreement = draw(st.sampled_from(Agreement))
    psnr_db = 41.5 if agreement is Agreement.NEAR else draw(st.sampled_from((None, 7.0)))
    verdict = ReplayVerdict(verdict=agreement, psnr_db=psnr_db, why=text(draw, 1000))
    notes = many(draw, 4, lambda number: f"{number} " + "ü" * 300)
    return replies.build_result(
        made,
        pictures,
        notes=(*notes, *list_painted_elsewhere(made)),
        verdict=verdict if flag(draw) else None,
        is_upscaled=flag(draw),
        is_part=flag(draw),
        sheet=None if flag(draw) or len(pictures) > 9 else picture(99),
    )


def originals(draw: Draw) -> MessageSpec:
    archives = many(draw, 10, lambda number: b"PK")
    notes = many(draw, 4, lambda number: f"{number} " + "ü" * 300)
    found = picture_pages.Originals(archives, num_pictures=10, has_flagged=flag(draw), notes=notes)
    return picture_pages.build_originals(job(draw), found, draw(st.integers(0, max(0, len(archives) - 1))))


def shared(draw: Draw) -> MessageSpec:
    return share_pages.build_shared(job(draw), (*many(draw, 9, picture), picture(9)), is_credited=flag(draw))


def progress(draw: Draw) -> MessageSpec:
    view = view_of(draw)(0)
    return replies.build_progress(view, is_ready=flag(draw), is_paused=flag(draw), is_loading=flag(draw))


def view_of(draw: Draw) -> Callable[[int], JobView]:
    made = job(draw)
    wait_s, preview = draw(st.sampled_from((None, 0.0, 1e7))), draw(st.sampled_from((None, b"jpeg")))
    return lambda number: JobView(job=made, progress=0.37, images_ahead=10**6, wait_s=wait_s, preview=preview)


def keys(draw: Draw) -> MessageSpec:
    name, used_at = text(draw, MAX_NAME, 1), draw(st.sampled_from((None, NOW)))

    def key(number: int) -> ApiKey:
        return ApiKey(id=number, owner=Owner(ID, ID), name=name, created_at=NOW, used_at=used_at, ended_at=None)

    return token_pages.build_keys(many(draw, MAX_KEYS, key))


def queue(draw: Draw) -> MessageSpec:
    return queue_pages.build_queue(
        many(draw, 300, view_of(draw)),
        viewer_id=ID,
        num_waiting=10**6,
        num_running=draw(st.sampled_from((0, 1, 99))),
        share=(10.0, 0.333),
        boost=3.0,
        is_ready=flag(draw),
        is_paused=flag(draw),
    )


def history(draw: Draw) -> MessageSpec:
    sheet = draw(st.sampled_from((None, b"png")))
    made, sent = job(draw), delivery(draw) if flag(draw) else None
    past = many(draw, 3, lambda number: history_pages.PastJob(replace(made, id=f"{number:022}"), sheet, sent))
    look = HistoryFilter(words=text(draw, 30).encode()[:30].decode(errors="ignore"), favourites=flag(draw))
    return history_pages.build_history(past, look, guild_id=ID, older=NOW if flag(draw) else None, is_first=flag(draw))


def help_page(draw: Draw) -> MessageSpec:
    return help_pages.build_help(many(draw, 100, lambda number: ("quota", "x" * 100, ID if number % 2 else None)))


def about_page(draw: Draw) -> MessageSpec:
    one = (text(draw, 150), text(draw, 120))
    return help_pages.build_about(
        models=many(draw, 60, lambda number: one),
        is_ready=flag(draw),
        is_paused=flag(draw),
        num_waiting=10**6,
        num_running=10,
        cloud="h" * 60 if flag(draw) else None,
    )


def own(draw: Draw) -> MessageSpec:
    allowances = many(draw, 40, lambda number: [Allowance(quota(draw)(number), used(), NOW)])
    return usage_pages.build_own(
        days(), allowances, guild_id=ID, timezone="America/Argentina/ComodRivadavia", boost=2.5, units_per_s=1e6
    )


def members(draw: Draw) -> MessageSpec:
    used_by = many(draw, 300, lambda number: MemberUsage(ID if number else None, used()))
    return usage_pages.build_server(days(), used_by, timezone="UTC", weight=3.5, part=0.31)


def quotas(draw: Draw) -> MessageSpec:
    done = draw(st.sampled_from((None, quota_pages.format_set(quota(draw)(0), 1), text(draw, 300))))
    every = many(draw, 300, quota(draw))
    gone = {each.subject_id for each in every} if flag(draw) else set()
    return quota_pages.build_quotas(every, guild_id=1, timezone="UTC", done=done, gone=gone)


def rules(draw: Draw) -> MessageSpec:
    every = many(draw, 300, rule(draw))
    done = draw(st.sampled_from((None, rules_pages.format_rule(rule(draw)(1)))))
    unusable = {each.id for each in every} if flag(draw) else set()
    gone = {each for one in every for each in (*one.channel_ids, *one.role_ids)} if flag(draw) else set()
    problem = draw(st.sampled_from((None, "ü" * 1000)))
    return rules_pages.build_listing(every, done=done, problem=problem, unusable=unusable, gone=gone)


def added(draw: Draw) -> MessageSpec:
    caught = many(draw, 500, lambda number: ("😀" * 300, "*" * 300))
    return rules_pages.build_added(rule(draw)(3), caught, draw(st.sampled_from((0, 1, 500))), is_new=flag(draw))


def tested(draw: Draw) -> MessageSpec:
    make, found = rule(draw), text(draw, 300)
    return rules_pages.build_test(text(draw, 1500), many(draw, 300, lambda number: Hit(make(number), found)))


def servers(draw: Draw) -> MessageSpec:
    name = text(draw, 100)
    ids = many(draw, 300, lambda number: ID - number)
    standings = dict.fromkeys(ids, draw(st.sampled_from(AccessDecision))) if flag(draw) else {}
    admission = GuildAccess(is_listed_only=flag(draw), standings=standings)
    return operating_pages.build_servers(dict.fromkeys(ids, name), admission, dict.fromkeys(ids, 0.123))


def used_by_servers(draw: Draw) -> MessageSpec:
    name = text(draw, 100)
    used_by = many(draw, 300, lambda number: GuildUsage(ID - number if number else 0, used()))
    names = {each.guild_id: name for each in used_by} if flag(draw) else {}
    return operating_pages.build_usage(
        used_by, names, days=90, units_per_s=draw(st.sampled_from((None, 0.3))), spent="s" * 400
    )


def models(draw: Draw) -> MessageSpec:
    unusable = {f"{number}": "😀" * 400 for number in many(draw, 60, int)}
    loaded = [LoadedModelInfo(name="m" * 80, device="cuda:0", num_bytes=10**12)] if flag(draw) else []
    return operating_pages.build_models(
        many(draw, 60, model(draw)), checks_safety=flag(draw), unusable=unusable, loaded=loaded
    )


def workers(draw: Draw) -> MessageSpec:
    name, why = text(draw, 100), text(draw, 500)
    loaded = tuple(LoadedModelInfo(name="m" * 80, device="cuda:0", num_bytes=1) for _ in range(6))
    found = many(
        draw,
        40,
        lambda number: WorkerStatus(
            name=name,
            device="cuda:0",
            num_slots=number % 3,
            num_images=2,
            units_per_s=1e6 if number % 2 else None,
            num_losses=number,
            loaded=loaded,
            is_draining=number % 5 == 0,
            is_unfit=number % 7 == 0,
            trouble=why,
        ),
    )
    return operating_pages.build_workers(found)


def model_defaults(draw: Draw) -> MessageSpec:
    done = text(draw, 100) if flag(draw) else None
    return defaults_pages.build_defaults(many(draw, 60, model(draw)), ["paintbox"], done=done)


def addon(draw: Draw) -> Callable[[int], PromptAddon]:
    name, words, rest = text(draw, 62), text(draw, 80), text(draw, 120)
    width = draw(st.sampled_from((0, 768, 2048)))
    return lambda number: PromptAddon(
        name=f"{number}{name}",
        path=Path("l"),
        sha256="ab" * 32,
        context_width=width,
        base_model=rest,
        licence=rest,
        trigger_words=(words,) * 8,
        page=draw(st.sampled_from(("", "https://civitai.com/models/1?modelVersionId=2", rest))),
    )


def offered_models(draw: Draw) -> MessageSpec:
    loras, names = many(draw, 30, addon(draw)), many(draw, 60, str)
    made = model(draw)
    found = [
        (
            replace(made(int(name)), loras=loras, max_clip_skip=12, is_inpainting=flag(draw), page="https://x.y/z"),
            10**11,
        )
        for name in names
    ]
    return model_pages.build_models(
        found,
        checks_safety=flag(draw),
        unusable=[each.name for each, _ in found],
        previews=previews(draw, [each.name for each, _ in found]),
    )


def previews(draw: Draw, names: list[str]) -> dict[str, model_pages.ShownPreview]:
    """Previews of some: one that is there, or one that is gone."""
    file = Path(__file__).resolve().parents[2] / "docs" / "images" / "waiting.png"
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest() if flag(draw) else "0" * 64
    preview = model_pages.ShownPreview(file, sha256, draw(st.sampled_from((Shown.OPENLY, Shown.SPOILER))))
    return dict.fromkeys(names[:: draw(st.sampled_from((1, 2, 7)))], preview)


def offered_loras(draw: Draw) -> MessageSpec:
    loras = many(draw, 100, addon(draw))
    embeddings = tuple(replace(each, name=f"e{each.name}") for each in many(draw, 30, addon(draw)))
    made, width = model(draw), draw(st.sampled_from((768, 1024)))
    return model_pages.build_loras(
        [
            replace(made(number), loras=loras, embeddings=embeddings, context_width=width)
            for number in many(draw, 30, int)
        ],
        previews(draw, [each.name for each in (*loras, *embeddings)]),
    )


def review(draw: Draw) -> MessageSpec:
    return moderation_pages.build_review(
        title="Kept back by the safety checker",
        prompt=text(draw, 1500),
        user_id=ID,
        reason=text(draw, 300),
        pictures=many(draw, 10, picture),
        refusals=Refusals(num_images=10**6, num_flagged=10**6, num_refused=10**6, num_accepted=10**6, user_id=ID),
        num_more=draw(st.sampled_from((0, 10**6))),
    )


def stats(draw: Draw) -> MessageSpec:
    names = many(draw, 40, lambda number: f"concept number {number}")
    judged = many(draw, 8, lambda number: SafetyScores(is_flagged=True, margins=dict.fromkeys(names, -1.5)))
    return moderation_pages.build_stats(
        judged,
        many(
            draw,
            5,
            lambda number: Refusals(
                num_images=10**6, num_flagged=10**6, num_refused=10**6, num_accepted=10**6, user_id=ID
            ),
        ),
    )


def recipe_of_job(draw: Draw) -> MessageSpec:
    made, other = job(draw, recipes=True), job(draw)
    kin = Relatives(parents=many(draw, 40, lambda number: (other, 1)), children=many(draw, 40, lambda number: other))
    return recipe_pages.build_recipe(made, kin, {JOB_ID: delivery(draw)} if flag(draw) else {})


def foreign(draw: Draw) -> MessageSpec:
    names = many(draw, 60, lambda number: "x" * 100)
    return recipe_pages.build_foreign(
        ForeignSettings(
            tool="Stable Diffusion web UI",
            prompt=text(draw, 20_000),
            negative=text(draw, 20_000),
            steps=20,
            sampler_there=text(draw, 200),
            model_there=text(draw, 200),
            loras=names,
            unread=names,
        )
    )


def changed(draw: Draw) -> MessageSpec:
    said = draw(st.sampled_from((text(draw, 300), Phrase("kept the style “{name}”", name="😀" * 32))))
    return changes.build_page(
        many(draw, 100, lambda number: Change(guild_id=ID, user_id=ID if number else None, at=NOW, text=said))
    )


GONE = (
    "channel_ids",
    "role_ids",
    "start_image_role_ids",
    "log_channel_id",
    "models",
    "default_model",
    "default_upscaler",
)


def panel(draw: Draw) -> ui.LayoutView:
    names = [each.name for each in many(draw, 60, model(draw))]
    opened = draw(st.sampled_from((*PAGES, settings_view.STYLES_PAGE, "forged")))
    chosen = settings(draw)
    gone = {key: tuple(field.chosen(chosen)) for key, field in FIELDS.items() if key in GONE} if flag(draw) else {}
    notes = {key: settings_notes.list_notes(field, chosen, gone.get(key, ()), None) for key, field in FIELDS.items()}
    styles = many(draw, MAX_STYLES, style(draw))
    return settings_view.build_panel_view(opened, chosen, Installed(names, names), styles, gone=gone, notes=notes)


def channel_panel(draw: Draw) -> ui.LayoutView:
    long = text(draw, 32)
    each = ChannelDefaults(model="m" * 64, shape="16:9", style=long)
    of_channels = {str(ID - number): each for number in range(draw(st.sampled_from((0, 1, MAX_NAMED))))}
    chosen = GuildSettings(guild_id=1, choices=GuildPreferences(channel_defaults=of_channels))
    names = many(draw, 40, lambda number: f"{number}{long}")
    opened = draw(st.sampled_from((None, ID, 5)))
    gone = {"channel_defaults": (str(ID), "m" * 64)} if flag(draw) else {}
    return settings_view.build_panel_view(
        "channels", chosen, Installed(names, names, names), (), channel_id=opened, gone=gone
    )


def own_defaults(draw: Draw) -> MessageSpec:
    own = MemberPreferences(
        model=text(draw, 64) or None,
        shape=text(draw, 20) or None,
        sampler=text(draw, 60) or None,
        negative=text(draw, MAX_PROMPT_CHARS) or None,
        is_private=flag(draw),
        language=draw(st.sampled_from(("auto", "de", "xx"))),
        notify_by=draw(st.sampled_from(list(NotifyBy))),
        notify_over_s=draw(st.sampled_from((None, 0, 3600))),
    )
    choices = GuildPreferences(visibility=draw(st.sampled_from(list(Visibility))))
    return me_pages.build_preferences(own, choices, ["m"], done=text(draw, 100) if flag(draw) else None)


def word_lists(draw: Draw) -> dict[str, tuple[str, ...]]:
    return {f"{number}-{text(draw, 20)}": (text(draw, 200), text(draw, 200)) for number in range(MAX_LISTS)}


MESSAGES: dict[str, Callable[[Draw], MessageSpec | ui.LayoutView]] = {
    "me._messages.build_preferences": own_defaults,
    "settings._views.build_panel_view: channels": channel_panel,
    "settings._audit_log.build_page": changed,
    "moderation._messages.build_nothing_to_review": lambda draw: moderation_pages.build_nothing_to_review(),
    "moderation._messages.build_review": review,
    "moderation._messages.build_stats": stats,
    "moderation._messages.build_purge_question": lambda draw: moderation_pages.build_purge_question(ID),
    "models._messages.build_loras": offered_loras,
    "models._messages.build_models": offered_models,
    "operator._messages.build_models": models,
    "operator._messages.build_servers": servers,
    "operator._messages.build_usage": used_by_servers,
    "operator._messages.build_workers": workers,
    "help._messages.build_about": about_page,
    "help._messages.build_help": help_page,
    "history._messages.build_history": history,
    "queue._messages.build_queue": queue,
    "settings._defaults_messages.build_defaults": model_defaults,
    "settings._style_messages.build_styles": lambda draw: style_pages.build_styles(
        many(draw, MAX_STYLES, style(draw)), done=text(draw, 100)
    ),
    "word_lists._messages.build_lists": lambda draw: list_pages.build_lists(word_lists(draw), done=text(draw, 100)),
    "word_lists._messages.build_list": lambda draw: list_pages.build_list(
        text(draw, 32), (text(draw, 2000), text(draw, 2000)), done=text(draw, 100)
    ),
    "privacy._cog.build_export": lambda draw: privacy.build_export("data.json", b"{}", 3, 12),
    "privacy._cog.build_summary": lambda draw: privacy.build_summary(
        draw(st.integers(0, 3650)),
        10**6,
        draw(st.sampled_from((9, 10**6))),
        cloud=CloudTerms("h" * 60, 1) if flag(draw) else None,
    ),
    "recipe._messages.build_foreign": foreign,
    "recipe._messages.build_recipe": recipe_of_job,
    "recipe._messages.build_file_recipe": lambda draw: recipe_pages.build_file_recipe(recipe(draw, spec(draw))),
    "results._messages.build_progress": progress,
    "results._messages.build_result": result,
    "share._messages.build_shared": shared,
    "results._pictures.build_originals": originals,
    "rules._messages.build_added": added,
    "rules._messages.build_export": lambda draw: rules_pages.build_export(draw(st.sampled_from((0, 1, 9999))), b"{}"),
    "rules._messages.build_listing": rules,
    "rules._messages.build_test": tested,
    "settings._views.build_export": lambda draw: settings_view.build_export(b"{}"),
    "settings._views.build_panel_view": panel,
    "settings._views.build_setup_view": lambda draw: settings_view.build_setup_view(settings(draw)),
    "token._messages.build_created": lambda draw: token_pages.build_created(text(draw, MAX_NAME, 1), "atl_" + "_" * 43),
    "token._messages.build_keys": keys,
    "token._messages.build_revoked": lambda draw: token_pages.build_revoked(text(draw, MAX_NAME, 1)),
    "usage._messages.build_own": own,
    "quota._messages.build_quotas": quotas,
    "usage._messages.build_server": members,
}
"""What makes every message, by module and function."""
