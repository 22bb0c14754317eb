"""The engine: paints many users' images, one denoising step at a time, many in one forward, each repeatable exactly.

`step` is the whole loop: schedule -> run -> settle. A turn is one forward of a batch, or one decode, or one tile of an
upscale, so a cancellation or a new image waits for one turn at most. Turns run in lanes (`lanes`): one at a time on a
card, two at once on a processor. All else is in one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from itertools import chain, repeat
from typing import Any

import numpy as np
import torch

from generation.engine.autotune import MeasurementCache
from generation.engine.buckets import Buckets
from generation.engine.checks import Checks
from generation.engine.control.pictures import list_sources
from generation.engine.devices import choose_device
from generation.engine.error_classes import broken, is_engine_broken, is_out_of_memory
from generation.engine.fingerprint import take_fingerprint
from generation.engine.lanes import Lanes, build_end, build_enlargement
from generation.engine.memory import give_back
from generation.engine.models import LoadedModel, Models
from generation.engine.postprocess import decode_preview, is_preview_due
from generation.engine.slot import Slot
from generation.engine.tuning import Tuner
from generation.engine.upscalers.tiles import UpscaleTask
from generation.engine.work_item import UpscaleItem, WorkItem
from generation.errors import OutOfMemoryError
from generation.failpoints import reached
from generation.jobs.protocol import Cancel, Cancelled, Event, GenerateCommand
from generation.models.catalog import Model
from generation.safety.verdict import SafetyVerdict
from generation.scheduling.step_schedule import StepSchedule
from generation.workers.engine_settings import EngineSettings


class Engine:
    """Paints orders. Synchronous; every method returns within one turn.

    One forward serves one key (model, adapters, latent shape, chunks of prompt) and takes the residents whose guilds
    have been served least; `settings.quantum` says how far a guild may get ahead for staying on a key (see
    `schedule`). Raise `ConfigurationError` if a model cannot be loaded.
    """

    def __init__(self, models: Iterable[Model], settings: EngineSettings) -> None:
        models = tuple(models)
        self._settings = settings
        measured = MeasurementCache(settings.measured)
        self._device = choose_device(settings, models, measured)
        self.fingerprint = take_fingerprint(self._device)
        self._checks = Checks(
            settings, models[0].added_checkers, self._device, lambda event: self._events.append(event)
        )
        with torch.inference_mode():
            self._models = Models(models, self._device, settings)
            self._buckets = Buckets(settings, measured, self.fingerprint, device=self._device.kind)
            self._tuner = Tuner(self._buckets, self._device, self._models.family_if_loaded)
            self._default, loaded = models[0], self._models.get(models[0].name)
            native_px = self._default.defaults.native_px
            self._buckets.want(loaded.network, self._default.name, (native_px, native_px), self._default.work)
        self.report = self._models.report
        self._lanes = Lanes(self._device, settings.num_lanes)
        self._schedule_of_steps = StepSchedule(
            quantum=settings.quantum or loaded.move_charge,  # record 9: to stay is worth what a swap costs
            price_swap=lambda leader: self._resident_models[leader.order.image_id].move_charge,
        )
        self._slots: dict[str, Slot] = {}
        self._upscalings: dict[str, UpscaleItem] = {}
        self._resident_models: dict[str, LoadedModel] = {}  # each keeps its model, whatever is offered meanwhile
        self._events: list[Event] = []
        self._num_admitted = 0
        self._forward_was_last = True
        self.rows_run = 0
        """Rows of every forward so far, padding included, and of these the ones an image owned."""
        self.rows_owned = 0
        self.num_slots = settings.num_slots or self._buckets.count_useful_slots(
            loaded.network, loaded.family.ladder, native_px, self._lanes.num
        )

    @property
    def model_sha256(self) -> Mapping[str, str]:
        """SHA-256 over what was read of each model, by name."""
        return self._models.sha256

    @property
    def is_idle(self) -> bool:
        """Whether `step` would do nothing."""
        return not (self._slots or self._upscalings or self._events or self._lanes.running) and self._checks.is_idle

    @torch.inference_mode()
    def admit(self, order: GenerateCommand) -> None:
        """Take an image in. One that cannot be made at all ends with `ImageFailed` from the next `step`."""
        self._tuner.drop()
        self._drop(order.image_id)
        self._guard(order, lambda: self._enter(order))

    @torch.inference_mode()
    def step(self) -> list[Event]:
        """Give free lanes a turn, wait until one has ended, and return its events."""
        self._lanes.use_all_threads()
        self._begin_turns()
        ended = self._lanes.wait()
        for turn, outcome in ended:
            self._settle(turn, outcome)
        is_free = not (ended or self._lanes.running or self._events)
        for check in self._checks.settle(waits=is_free, free_memory=self._free_memory):
            self._guard(check.order, check.finish, is_repeatable=False)
        events, self._events = self._events, []
        return events

    def cancel(self, cancel: Cancel) -> list[Event]:
        """Stop an image where it stands. Nothing if it is not here (it has ended) or the attempt is another one."""
        order = self._order_of(cancel.image_id)
        if order is None or order.attempt != cancel.attempt:
            return []
        evaluations = self._drop(cancel.image_id)
        return [Cancelled(image_id=cancel.image_id, attempt=cancel.attempt, evaluations=evaluations)]

    @torch.inference_mode()
    def tune(self) -> bool:
        """Use idle time: run one forward to measure which buckets pay. False if there is nothing to measure."""
        return self.is_idle and self._tuner.run_once()

    def update(self, models: tuple[Model, ...]) -> None:
        """Offer these models from now on."""
        self._tuner.drop()
        self._models.update(models)
        self._checks.update(models[0].added_checkers)
        self._default = models[0]

    def rest(self) -> None:
        """Give the memory back while there is nothing to do: the next image waits for its model to load again."""
        if self.is_idle:
            self._tuner.drop()
            self._clear_buffers()
            self._models.close()
            self._checks.rest()
            give_back(self._device.torch_device)

    def close(self) -> None:
        """Drop all residents without events and give the memory back."""
        self._lanes.close()
        self._checks.close()
        self._slots.clear()
        self._resident_models.clear()
        self._upscalings.clear()
        self._events.clear()
        self.rest()

    # Schedule: who is next, ready to run.

    def _begin_turns(self) -> None:
        """Give every free lane a turn, if there is one."""
        turns: list[WorkItem] = []
        while len(turns) < self._lanes.num_free:
            turn = self._schedule((*self._lanes.running, *turns))
            if turn is None:
                break
            turns.append(turn)
        self._lanes.begin(turns)

    def _schedule(self, beside: tuple[WorkItem, ...]) -> WorkItem | None:
        """Return the next turn, beside those: a forward or, every second turn, other work that is due.

        An end for which no newcomer waits comes at once.
        """
        taken = {id(each) for turn in beside for each in turn.held}
        slots = [slot for slot in self._slots.values() if id(slot) not in taken]
        stepping = [slot for slot in slots if not slot.is_denoised]
        has_room = self._checks.has_room
        ending = next((slot for slot in slots if slot.is_denoised), None) if has_room else None
        enlarging = next((each for each in self._upscalings.values() if id(each) not in taken and has_room), None)
        is_urgent = ending is not None and all(slot.walk for slot in stepping)
        if (ending or enlarging) and (is_urgent or self._forward_was_last or not stepping):
            self._forward_was_last = False
            return WorkItem(finishing=ending) if ending else WorkItem(enlarging=enlarging)
        self._forward_was_last = True
        return self._schedule_forward(stepping, beside)

    def _schedule_forward(self, stepping: list[Slot], beside: tuple[WorkItem, ...]) -> WorkItem | None:
        picked = self._schedule_of_steps.pick(
            stepping,
            partial(self._buckets.find_most_rows, stepping),
            may_lead=lambda leader: all(_can_run_beside(leader, turn) for turn in beside),
        )
        slots = tuple(
            slot
            for slot in picked
            if slot.walk or self._guard(slot.order, partial(slot.begin, self._device.torch_device))
        )
        if not slots or not self._switch_to(slots[0]):
            return None
        return WorkItem(slots=slots, bucket=self._buckets.fitting(slots))

    def _switch_to(self, slot: Slot) -> bool:
        """Put an image's LoRA, and no others, to work. False, and the image ends, if that cannot be."""
        return self._guard(slot.order, lambda: slot.family.use(slot.order.spec.adapters))

    def most_rows(self, size_px: tuple[int, int], *, model: str | None = None) -> int:
        """Return the rows beyond which a forward of a model's (the default's) pictures that size gets no more done."""
        return self._buckets.most_rows(self._models.get(model or self._default.name).network, size_px)

    def _make_do_with_less(self, turn: WorkItem) -> None:
        """Halve the rows of this key; end an image that does not fit alone, or not in its trace.

        Alone it is tried once more, with the memory that was given back.
        """
        slot = turn.slots[0]
        self._free_memory(slot.order)
        if len(turn.slots) > 1:
            self._buckets.halve(slot.key, turn.bucket)
        elif slot.lacked_memory:
            self._fail_image(slot.order, OutOfMemoryError())
        else:
            slot.lacked_memory = True

    def _free_memory(self, order: GenerateCommand) -> None:
        """Free everything unused: buffers, models without a resident image, and what the device caches."""
        self._clear_buffers()
        self._models.let_go(keep=self._list_models_at_work() | {order.spec.model})
        give_back(self._device.torch_device)

    def _clear_buffers(self) -> None:
        self._lanes.clear()

    # Settle: every image takes its part; those that are done are decoded, checked and handed over.

    def _settle(self, turn: WorkItem, outcome: Future[Any]) -> None:
        """Take what a turn brought. Who left meanwhile has no part in it."""
        if turn.slots:
            self._settle_forward(turn, outcome)
        elif turn.finishing is not None and self._slots.get(turn.finishing.order.image_id) is turn.finishing:
            self._finish(turn.finishing, outcome)
        elif turn.enlarging is not None and self._upscalings.get(turn.enlarging.order.image_id) is turn.enlarging:
            self._enlarge(turn.enlarging, outcome)

    def _settle_forward(self, turn: WorkItem, outcome: Future[Any]) -> None:
        error = outcome.exception()
        if error is not None and not is_out_of_memory(error):
            raise error
        if error is not None:
            self._make_do_with_less(turn)
            return
        self.rows_run += turn.bucket
        self.rows_owned += turn.rows
        if self._device.steps_together:
            turn.take_steps(rows for rows, _ in outcome.result())
        for slot, (prediction, forward) in zip(turn.slots, outcome.result(), strict=True):
            if self._slots.get(slot.order.image_id) is not slot:
                continue
            if self._guard(slot.order, partial(slot.advance, prediction, forward), is_repeatable=False):
                self._handle_advance(slot, turn)

    def _handle_advance(self, slot: Slot, turn: WorkItem) -> None:
        """Report progress after a step, begin the next pass if this one is over, show a preview if one is due."""
        slot.lacked_memory = False
        if slot.is_pass_over and not self._guard(slot.order, slot.begin_next_pass):
            return
        self._events.append(turn.build_progress(slot))
        self._show_preview_if_due(slot)

    def _show_preview_if_due(self, slot: Slot) -> None:
        if not is_preview_due(slot, ahead_s=self._settings.preview_ahead_s) or not self._checks.has_room:
            return
        slot.num_previews += 1
        picture = decode_preview(slot, side=self._settings.preview_side)
        if picture is not None:
            self._checks.ask_preview(slot.order, self._resident_models[slot.order.image_id].checkers, picture)

    def _finish(self, slot: Slot, outcome: Future[Any]) -> None:
        decoded = chain((outcome.result,), repeat(build_end(slot)))  # again, where memory ran out
        self._guard(slot.order, lambda: self._hand_over(slot.order, next(decoded)(), slot=slot, start=slot.start))

    def _enlarge(self, upscaling: UpscaleItem, outcome: Future[Any]) -> None:
        advanced = chain((outcome.result,), repeat(build_enlargement(upscaling)))

        def run() -> None:
            next(advanced)()
            if upscaling.work.is_done:
                self._hand_over(upscaling.order, upscaling.work.result, start=upscaling.start)

        self._guard(upscaling.order, run)

    def _hand_over(
        self, order: GenerateCommand, picture: np.ndarray, *, start: SafetyVerdict, slot: Slot | None = None
    ) -> None:
        """Have a finished picture checked, then end its image. Its place is free meanwhile."""
        reached("rendered")
        own = self._resident_models[order.image_id].checkers
        self._leave(order.image_id)  # its previews come first
        self._checks.ask_end(order, own, picture, slot=slot, start=start)

    # Coming and going.

    def _enter(self, order: GenerateCommand) -> None:
        self._checks.require_ready(order)
        own, sources = self._get_model(order).checkers, list_sources(order)
        start = sources[0][1] if order.spec.start or order.spec.upscale else None
        self._checks.ask_sources(order, own, sources, lambda verdict: self._take_in(order, start, verdict))

    def _take_in(self, order: GenerateCommand, picture: np.ndarray | None, start: SafetyVerdict) -> None:
        """Make an image resident. `picture`: what it starts from, and `start`: the verdict on that."""
        model = self._resident_models[order.image_id] = self._get_model(order)
        if order.spec.upscale is not None and picture is not None:
            work = UpscaleTask(picture, model.get_upscaler(order.spec.upscale))
            self._upscalings[order.image_id] = UpscaleItem(order, model, work, start)
        else:
            self._num_admitted += 1
            networks = self._models.get_networks(order.spec, keep=self._list_models_at_work())
            slot = Slot(order, model.family, self._num_admitted, start=start, traits=model.traits, networks=networks)
            self._slots[order.image_id] = slot
            self._schedule_of_steps.enter(slot)

    def _get_model(self, order: GenerateCommand) -> LoadedModel:
        """Return the model that paints an order, loaded if need be, without unloading one that is at work.

        Residents hold their models: unloading one would free no memory, and the next preview would load it again.
        """
        return self._models.get(order.spec.model, keep=self._list_models_at_work())

    def _list_models_at_work(self) -> set[str]:
        at_work: list[Slot | UpscaleItem] = [*self._slots.values(), *self._upscalings.values()]
        return {each.order.spec.model for each in at_work}

    def _drop(self, image_id: str) -> int:
        """Forget an image if it is here; return how many evaluations it had."""
        return self._checks.drop(image_id) or self._leave(image_id)

    def _leave(self, image_id: str) -> int:
        """Take an image out of the turns; return how many evaluations it had."""
        self._upscalings.pop(image_id, None)
        self._resident_models.pop(image_id, None)
        slot = self._slots.pop(image_id, None)
        if slot is None:
            return 0
        self._schedule_of_steps.leave(slot)
        return slot.done

    def _order_of(self, image_id: str) -> GenerateCommand | None:
        holder = self._slots.get(image_id) or self._upscalings.get(image_id) or self._checks.find(image_id)
        return holder.order if holder else None

    def _guard(self, order: GenerateCommand, work: Callable[[], None], *, is_repeatable: bool = True) -> bool:
        """Run an image's own work; an error ends that image alone, and returns False.

        Where memory ran out, work that changes nothing before it succeeds is done once more, after some is given back.
        """
        try:
            work()
            return True
        except Exception as error:
            if is_engine_broken(error) and not is_out_of_memory(error):
                raise
            if not is_repeatable or not is_out_of_memory(error):
                self._fail_image(order, error)
                return False
        self._free_memory(order)  # after the error is dropped, because it holds what was computed
        return self._guard(order, work, is_repeatable=False)

    def _fail_image(self, order: GenerateCommand, error: Exception) -> None:
        self._drop(order.image_id)
        self._events.append(broken(order, error))


def _can_run_beside(slot: Slot, turn: WorkItem) -> bool:
    """Return whether an image's forward can run beside a turn: LoRA are on for a whole model, or off."""
    return all(
        other.family is not slot.family or other.order.spec.adapters == slot.order.spec.adapters for other in turn.slots
    )
