"""The pictures that wait for the safety checkers, and what happens then. Checkers run beside the engine's turns."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, replace

import numpy as np

from generation.engine.checkers.check_thread import MAX_WAITING, CheckThread, Look
from generation.engine.checkers.clip import load_added
from generation.engine.checkers.shared import load_shared
from generation.engine.checkers.verdict import Checker, look_with
from generation.engine.devices import Device
from generation.engine.error_classes import is_engine_broken, is_out_of_memory
from generation.engine.loading import refusing
from generation.engine.pixels import read_painted
from generation.engine.postprocess import finish_image, preview, refuse_start
from generation.engine.slot import Slot
from generation.errors import ConfigurationError, UncheckedError
from generation.jobs.protocol import Event, GenerateCommand
from generation.models.failed_loads import FailedLoads
from generation.models.shared_additions import AddedChecker
from generation.safety.verdict import UNCHECKED, SafetyVerdict, Scores, judge
from generation.workers.engine_settings import EngineSettings

log = logging.getLogger(__name__)

_PATIENCE_S = 0.05
"""How long a turn without other work waits for a checker, before it looks for commands."""
_MAX_KNOWN_STARTS = 64
Then = Callable[[SafetyVerdict], None]


@dataclass(frozen=True, slots=True, eq=False)
class PendingCheck:
    """A picture of an order that a checker looks at."""

    order: GenerateCommand
    then: Then
    work: Callable[[], Scores]
    look: Look
    evaluations: int = 0
    """What the image has behind it, if it is cancelled now."""
    is_preview: bool = False
    is_second_try: bool = False

    def finish(self) -> None:
        """Do what follows. Raise `UncheckedError` if a checker raised, or took too long."""
        error = self.look.result.exception()
        if error is not None:
            if is_out_of_memory(error) or is_engine_broken(error):
                raise error
            log.warning("image=%s action=check-failed error=%r", self.order.image_id, error)
            raise UncheckedError() from error
        self.then(judge(self.look.result.result(), self.order.strictness, says_young=self.order.says_young))

    @property
    def lacked_memory(self) -> bool:
        error = self.look.result.exception()
        return error is not None and is_out_of_memory(error)


class Checks:
    """All checks of an engine. Nothing is shown before its `then` is called, with a verdict.

    `added`: checkers for all models that the operator added; `emit` takes the events that follow.
    Raise `ConfigurationError` if one cannot be loaded.
    """

    def __init__(
        self,
        settings: EngineSettings,
        added: tuple[AddedChecker, ...],
        device: Device,
        emit: Callable[[Event], None],
    ) -> None:
        self._settings, self._added, self._device, self._emit = settings, added, device, emit
        self._failed = FailedLoads(settings.failed_loads)
        self._loaded: dict[AddedChecker, Checker] = {}
        if settings.checks_safety:
            load_shared(settings.thresholds)
            self._loaded |= {each: self._load(each) for each in added}
        # With more threads than cores OpenMP lets all sleep at once: beside a forward on the processor it has one.
        threads = 1 if device.kind == "cpu" else device.num_threads
        self._thread = CheckThread(settings.check_timeout_s, threads=threads)
        self._pending: list[PendingCheck] = []
        self._starts: dict[tuple[str, str], Look] = {}

    @property
    def is_idle(self) -> bool:
        return not self._pending

    @property
    def has_room(self) -> bool:
        """Whether another finished picture may be handed in: else they pile up where checkers are slower than steps."""
        return len(self._pending) < MAX_WAITING

    def update(self, added: tuple[AddedChecker, ...]) -> None:
        """Have these look at every picture from now on, start pictures again. One that does not load keeps all back."""
        self._starts.clear()
        self._added = added
        self._loaded = {each: checker for each, checker in self._loaded.items() if each in added}
        if not self._settings.checks_safety:
            return
        try:
            self._list_common()
        except (UncheckedError, MemoryError, RuntimeError) as error:  # tried again for the next picture
            if is_engine_broken(error):
                raise
            log.warning("action=checkers-not-loaded error=%r", error)

    def require_ready(self, order: GenerateCommand) -> None:
        """Load the checkers that an order needs. Raise `UncheckedError` if one cannot be: nothing is painted then."""
        if order.check_safety:
            self._list_common()

    def find(self, image_id: str) -> PendingCheck | None:
        """Return the check that an image's end waits for; previews and none if there is none."""
        return next((each for each in self._pending if each.order.image_id == image_id and not each.is_preview), None)

    def drop(self, image_id: str) -> int:
        """Forget an image's checks. Return how many evaluations it had, if its end waited for one, else 0."""
        found = self.find(image_id)
        self._pending = [each for each in self._pending if each.order.image_id != image_id]
        return found.evaluations if found is not None else 0

    def ask_preview(self, order: GenerateCommand, own: tuple[Checker, ...], picture: np.ndarray) -> None:
        """Show a preview if it is safe. `own`, here and below: the checkers of its model."""
        if order.check_safety and not all(each in self._loaded for each in self._added):
            return  # nor can the picture be checked, which it is told at its end

        def show(verdict: SafetyVerdict) -> None:
            if verdict.is_safe:
                self._emit(preview(order, picture))

        self._ask(order, own, picture, show, is_preview=True)

    def ask_end(
        self,
        order: GenerateCommand,
        own: tuple[Checker, ...],
        picture: np.ndarray,
        *,
        slot: Slot | None,
        start: SafetyVerdict,
    ) -> None:
        """End an image with what the checkers let out of its picture (see `finish_image`)."""

        def end(verdict: SafetyVerdict) -> None:
            self._emit(finish_image(order, picture, verdict, slot=slot, start=start))

        self._ask(order, own, picture, end, evaluations=slot.done if slot else 0)

    def ask_sources(
        self,
        order: GenerateCommand,
        own: tuple[Checker, ...],
        pictures: Sequence[tuple[str, np.ndarray]],
        begin: Callable[[SafetyVerdict], None],
        *,
        before: SafetyVerdict = UNCHECKED,
    ) -> None:
        """Begin an image if the pictures it is made from may be used, each with its SHA-256; the verdict is on all.

        Of several images from one picture, the first asks. One that was painted elsewhere is looked at, and ends.
        """
        if order.painted_png is not None:
            self.ask_end(order, own, read_painted(order), slot=None, start=before)
            return
        if not pictures:
            begin(before)
            return
        (sha256, picture), *rest = pictures

        def judge_one(verdict: SafetyVerdict) -> None:
            if (refused := refuse_start(order, verdict, picture)) is not None:
                self._emit(refused)
            else:
                self.ask_sources(order, own, rest, begin, before=before.joined(verdict))

        self._ask(order, own, picture, judge_one, start=sha256)

    def _ask(
        self,
        order: GenerateCommand,
        own: tuple[Checker, ...],
        picture: np.ndarray,
        then: Then,
        *,
        evaluations: int = 0,
        is_preview: bool = False,
        start: str = "",
    ) -> None:
        """Have a picture checked and call `then` from `settle`; at once where checking is off."""
        if not order.check_safety:
            then(UNCHECKED)
            return
        checkers = self._list_common() + own

        def work() -> Scores:
            return look_with(checkers, picture)

        look = self._look_at_start(order.spec.model, start, work) if start else self._thread.submit(work)
        self._pending.append(PendingCheck(order, then, work, look, evaluations, is_preview))

    def settle(self, *, waits: bool, free_memory: Callable[[GenerateCommand], None]) -> Iterator[PendingCheck]:
        """Finish the previews that were looked at, and yield the other checks that have ended.

        `waits`: there is nothing else to do, so wait for one a little. Where memory ran out, look once more after
        `free_memory`.
        """
        if waits and self._pending:
            wait([each.look.result for each in self._pending], timeout=_PATIENCE_S, return_when=FIRST_COMPLETED)
        self._thread.give_up_late()
        for each in [each for each in self._pending if each.look.result.done()]:
            if each not in self._pending:  # dropped by what followed from another
                continue
            self._pending.remove(each)
            if each.lacked_memory and not (each.is_second_try or each.is_preview):
                free_memory(each.order)
                self._pending.append(replace(each, look=self._thread.submit(each.work), is_second_try=True))
            elif each.is_preview:
                _finish_preview(each)
            else:
                yield each

    def rest(self) -> None:
        """Give memory back: what was said of start pictures, and the checkers that were added."""
        self._starts.clear()
        self._loaded.clear()

    def close(self) -> None:
        self._pending.clear()
        self._thread.close()

    def _list_common(self) -> tuple[Checker, ...]:
        """Return the checkers of all models, loaded if need be. Raise `UncheckedError` if one does not load."""
        try:
            for each in self._added:
                if each not in self._loaded:
                    if self._failed.get(each) is not None:
                        raise UncheckedError()
                    self._loaded[each] = self._load(each)
            return load_shared(self._settings.thresholds) + tuple(self._loaded[each] for each in self._added)
        except ConfigurationError:
            raise UncheckedError() from None

    def _load(self, added: AddedChecker) -> Checker:
        """Raise `ConfigurationError`, and remember it until its files change, if a checker does not load."""
        try:
            with refusing(added.path, "it cannot be loaded"):
                checker = load_added(added, self._device)
        except ConfigurationError as refused:
            log.error("checker=%s action=load-failed reason=%s", added.name, refused)
            self._failed.put(added, str(refused))
            raise
        self._failed.remove(added)
        return checker

    def _look_at_start(self, model: str, sha256: str, work: Callable[[], Scores]) -> Look:
        known = self._starts.get((model, sha256))
        if known is not None and not (known.result.done() and known.result.exception()):
            return known
        while len(self._starts) >= _MAX_KNOWN_STARTS:
            del self._starts[next(iter(self._starts))]
        self._starts[model, sha256] = look = self._thread.submit(work)
        return look


def _finish_preview(check: PendingCheck) -> None:
    """Show a preview if it may be. The picture can be had without it."""
    try:
        check.finish()
    except Exception as error:
        if is_engine_broken(error) and not is_out_of_memory(error):
            raise
        log.warning("image=%s action=preview-failed error=%s", check.order.image_id, type(error).__name__)
