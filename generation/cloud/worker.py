"""A member of the pool that has pictures painted elsewhere for money, by words alone (`generation.requests.plain`).

    reserve the price -> ask -> store the server's id -> wait -> settle -> fetch -> decode apart -> check here

What comes back is checked by a worker of this machine, by the rules of its own pictures, before anything else sees it.
Where the cloud gives no picture, that worker paints it: it costs the asker nothing but time. An image is paid for once,
over restarts too: what is open is asked about again, and what is settled is painted here.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import MappingProxyType

import aiohttp
import msgspec

from generation.clock import Clock, utc_now
from generation.cloud.api import CloudError, Prediction, PredictionApi, list_inputs
from generation.cloud.helpers import Helpers, failed, stopped
from generation.cloud.money import Begun, CloudBooks, Reservation
from generation.cloud.settings import CloudSettings
from generation.errors import FailedError, InvalidRequestError, UncheckedError, WorkerLostError
from generation.images.codec import SizeMismatchError
from generation.images.untrusted_decoder import fit_picture
from generation.jobs.protocol import (
    Cancel,
    Cancelled,
    Event,
    Finished,
    GenerateCommand,
    LargestPx,
    LoadedModelInfo,
    Ready,
)
from generation.models.catalog import Model
from generation.requests.recipe import CLOUD, Fingerprint, Trace
from generation.requests.spec import ImageSpec
from generation.retry import retry_write
from generation.workers.asked_worker import AskedWorker, Ending

log = logging.getLogger(__name__)
_FIRST_REST_S, _LONGEST_REST_S = 5.0, 300.0
_HELP_WITHIN_S = 120.0
"""How long a picture waits for a worker of this machine that is down."""
_Key = tuple[str, int]


class CloudWorker:
    """See the module's text. `helpers`: workers of this machine that check, and paint what the cloud does not."""

    def __init__(
        self,
        settings: CloudSettings,
        *,
        books: CloudBooks,
        helpers: Sequence[AskedWorker],
        open_session: Callable[[], aiohttp.ClientSession],
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        help_within_s: float = _HELP_WITHIN_S,
    ) -> None:
        self._settings, self._books = settings, books
        self._open_session, self._clock, self._monotonic = open_session, clock, monotonic
        self._helpers = Helpers(helpers, within_s=help_within_s, monotonic=monotonic)
        name = settings.version or "unnamed"
        self._fingerprint = Fingerprint({CLOUD: settings.host, "version": name})
        self._sha256 = hashlib.sha256(f"{settings.host} {name} {settings.model}".encode()).hexdigest()
        self._session: aiohttp.ClientSession | None = None
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._work: dict[_Key, asyncio.Task[None]] = {}
        self._stops: dict[_Key, asyncio.Event] = {}
        self._is_offered = True
        self._committed, self._month = 0, 0
        self._rests_until_s = self._rest_s = 0.0
        self._is_closed = False

    @property
    def num_slots(self) -> int:
        """0 while it is closed, rests after a failure, none is up to check, or the month has no room for a picture."""
        is_up = self._session is not None and self._monotonic() >= self._rests_until_s
        return self._settings.num_slots if is_up and self._helpers.is_up and self._has_money else 0

    @property
    def _has_money(self) -> bool:
        committed = self._committed if self._month == self._clock().month else 0
        return committed + self._settings.price <= self._settings.budget

    @property
    def fingerprint(self) -> Fingerprint | None:
        return self._fingerprint if self._session is not None else None

    @property
    def model_sha256(self) -> Mapping[str, str]:
        """Of no weights that are known: it is equal to none of this machine's."""
        return MappingProxyType({self._settings.model: self._sha256} if self._is_offered else {})

    @property
    def loaded_models(self) -> tuple[LoadedModelInfo, ...]:
        return ()

    @property
    def largest_px(self) -> Mapping[str, LargestPx]:
        return {}

    async def update(self, models: tuple[Model, ...]) -> None:
        self._is_offered = any(each.name == self._settings.model for each in models)

    async def start(self) -> None:
        self._session = self._open_session()
        self._note(await self._books.fetch_committed())
        slots, weights = self._settings.num_slots, dict(self.model_sha256)
        self._events.put_nowait(Ready(num_slots=slots, fingerprint=self._fingerprint, model_sha256=weights))

    async def admit(self, order: GenerateCommand) -> None:
        if self._session is None:
            raise ConnectionError("it is closed")
        key = (order.image_id, order.attempt)
        self._stops[key] = asyncio.Event()
        self._work[key] = asyncio.create_task(self._do(order, PredictionApi(self._settings, self._session)))

    async def cancel(self, cancel: Cancel) -> None:
        if (stop := self._stops.get((cancel.image_id, cancel.attempt))) is not None:
            stop.set()
            await self._helpers.cancel(cancel)

    async def events(self) -> AsyncIterator[Event]:
        while (event := await self._events.get()) is not None:
            yield event

    async def close(self) -> None:
        """Let go of everything. Predictions run on, and are asked about after the next start."""
        if self._is_closed:
            return
        self._is_closed = True
        session, self._session = self._session, None
        for each in (tasks := list(self._work.values())):
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if session is not None:
            await session.close()
        self._events.put_nowait(None)

    # One image.

    async def _do(self, order: GenerateCommand, api: PredictionApi) -> None:
        key = (order.image_id, order.attempt)
        try:
            ending = await self._finish(order, api, self._stops[key])
        except Exception as error:  # one picture, not all of them
            log.exception("image=%s action=cloud-failed", order.image_id)
            ending = failed(order, FailedError, type(error).__name__)
        finally:
            del self._work[key], self._stops[key]
        self._events.put_nowait(ending)

    async def _finish(self, order: GenerateCommand, api: PredictionApi, stop: asyncio.Event) -> Ending:
        price, budget = self._settings.price, self._settings.budget
        held = await retry_write(lambda: self._books.begin(order.image_id, price=price, budget=budget))
        self._note(held.committed)
        if held.begun in (Begun.SPENT, Begun.TOO_MUCH):
            return await self._paint_here(order)
        try:
            found = await self._predict(order, api, held, stop)
            if stop.is_set():
                return stopped(order)
            if found.status != "succeeded":
                raise CloudError(f"the prediction {found.status}" if found.is_over else "it answered before the end")
            picture = await _decode(await api.fetch_picture(found.output), order.spec)
        except CloudError as error:
            self._rest(order, error)
            return stopped(order) if stop.is_set() else await self._paint_here(order)
        self._rest_s = 0.0
        return await self._check(order, picture)

    async def _predict(
        self, order: GenerateCommand, api: PredictionApi, held: Reservation, stop: asyncio.Event
    ) -> Prediction:
        """Return how a prediction ended, settled: one of which nothing is known costs the whole price."""
        try:
            found = await self._run(order, api, held, stop)
        except CloudError as error:
            await self._settle(held, 0 if error.is_free else self._settings.price)
            raise
        await self._settle(held, self._settings.price_of(found.predict_s))
        return found

    async def _run(
        self, order: GenerateCommand, api: PredictionApi, held: Reservation, stop: asyncio.Event
    ) -> Prediction:
        ends_at_s = self._monotonic() + self._settings.timeout_s
        remote_id = held.remote_id
        if held.begun is Begun.AGAIN and remote_id is None:
            raise CloudError("what became of an earlier request is not known")
        if remote_id is None:
            asking = asyncio.create_task(
                api.create(held.prediction_id, list_inputs(order.spec), timeout_s=self._settings.timeout_s)
            )
            if not self._settings.version:
                return await self._await_answer(asking, api, held, stop)
            found = await asking
            remote_id = found.id
            await retry_write(lambda: self._books.note_asked(held.prediction_id, found.id))
            if found.is_over:
                return found
        return await self._poll(api, remote_id, stop, ends_at_s)

    async def _await_answer(
        self, asking: asyncio.Task[Prediction], api: PredictionApi, held: Reservation, stop: asyncio.Event
    ) -> Prediction:
        """Return the answer of a Cog server, which comes at the end; stop it if that is asked for."""
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                return asking.result()
            await api.cancel(held.prediction_id)
            return Prediction("canceled")
        finally:
            asking.cancel()
            stopping.cancel()

    async def _poll(self, api: PredictionApi, remote_id: str, stop: asyncio.Event, ends_at_s: float) -> Prediction:
        """Ask until it ends. Stop it, and ask once more, where that is wanted or its time is over."""
        while not stop.is_set() and self._monotonic() < ends_at_s:
            found = await _look(api, remote_id)
            if found is not None and found.is_over:
                return found
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.poll_s):
                    await stop.wait()
        await api.cancel(remote_id)
        last = await _look(api, remote_id)
        return last if last is not None and last.is_over else Prediction("canceled")

    async def _settle(self, held: Reservation, spent: int) -> None:
        self._note(await retry_write(lambda: self._books.settle(held.prediction_id, spent=spent)))

    def _note(self, committed: int) -> None:
        self._committed, self._month = committed, self._clock().month

    def _rest(self, order: GenerateCommand, error: CloudError) -> None:
        """Take nothing for a while: what failed would fail again, and cost again."""
        self._rest_s = min(_LONGEST_REST_S, max(_FIRST_REST_S, 2 * self._rest_s))
        rest_s = self._rest_s if error.rest_s is None else error.rest_s
        self._rests_until_s = self._monotonic() + rest_s
        log.warning("image=%s action=cloud-gave-none rest_s=%g reason=%s", order.image_id, rest_s, error)

    # What this machine does.

    async def _check(self, order: GenerateCommand, png: bytes) -> Ending:
        """Return the end of an image whose picture came back, as the checkers here decide."""
        checked = msgspec.structs.replace(order, painted_png=png, check_safety=True, num_previews=0)
        try:
            ending = await self._helpers.ask(checked, self._stop_of(order), self._events.put_nowait)
        except ConnectionError:
            return failed(order, UncheckedError, "no worker of this machine is up to check it")
        if isinstance(ending, Finished):
            return msgspec.structs.replace(
                ending,
                fingerprint=self._fingerprint,
                model_sha256=self._sha256,
                storage="",
                trace=str(Trace.of([order.spec.num_rows] * order.spec.num_evaluations)),
                evaluations=order.spec.num_evaluations,
            )
        return stopped(order) if isinstance(ending, Cancelled) else ending

    def _stop_of(self, order: GenerateCommand) -> asyncio.Event:
        return self._stops[order.image_id, order.attempt]

    async def _paint_here(self, order: GenerateCommand) -> Ending:
        try:
            return await self._helpers.ask(order, self._stop_of(order), self._events.put_nowait)
        except ConnectionError:
            return failed(order, WorkerLostError, "no worker of this machine is up to paint it")


async def _look(api: PredictionApi, remote_id: str) -> Prediction | None:
    """Return what the server says of a prediction; None if it says nothing now."""
    try:
        return await api.get(remote_id)
    except CloudError as error:
        log.info("action=cloud-silent reason=%s", error)
        return None


async def _decode(data: bytes, spec: ImageSpec) -> bytes:
    """Return the picture as a plain PNG, decoded apart. Raise `CloudError` if it is none of the size asked for."""
    size_px = spec.result_size_px
    try:
        return await fit_picture(data, size_px, said_px=size_px)
    except (InvalidRequestError, SizeMismatchError) as error:
        raise CloudError(f"its picture cannot be used ({type(error).__name__})") from None
