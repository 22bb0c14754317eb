"""OpenTelemetry traces: one for each job, from the request to the post. Imported only where the setting asks for them.

The ids of a trace and of its first span are made of the job's id: stages before a restart of the bot and after it are
in one trace, and a job's trace can be found by its id.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from cli import __version__
from generation import tracing
from generation.tracing import Stage

MAX_OPEN = 10_000
"""Jobs on their way. Beyond, the oldest one's trace ends where it is known to have got."""


@dataclass(slots=True)
class _Open:
    """A job on its way: when its trace began and got to, in nanoseconds since 1970."""

    began_ns: int
    ended_ns: int
    is_to_be_posted: bool = False


class _JobIds(RandomIdGenerator):
    """Random ids, but those of `span` for the first span of a job."""

    span: SpanContext | None = None

    def generate_trace_id(self) -> int:
        return self.span.trace_id if self.span is not None else super().generate_trace_id()

    def generate_span_id(self) -> int:
        return self.span.span_id if self.span is not None else super().generate_span_id()


class SpanRecorder:
    """The `generation.tracing.Recorder` that makes spans. For one event loop."""

    def __init__(self, *processors: SpanProcessor) -> None:
        self._ids = _JobIds()
        self._provider = TracerProvider(
            id_generator=self._ids,
            resource=Resource.create({"service.name": "atelier", "service.version": __version__}),
            span_limits=SpanLimits(max_attribute_length=200),
            shutdown_on_exit=False,
        )
        for each in processors:
            self._provider.add_span_processor(each)
        self._tracer = self._provider.get_tracer("atelier", __version__)
        self._open: OrderedDict[str, _Open] = OrderedDict()

    def add(self, stage: Stage) -> None:
        began_ns, ended_ns = _to_wall_ns(stage.began_s), _to_wall_ns(stage.ended_s)
        going = self._get(stage.job_id, began_ns)
        going.began_ns, going.ended_ns = min(going.began_ns, began_ns), max(going.ended_ns, ended_ns)
        parent = trace.set_span_in_context(NonRecordingSpan(build_context(stage.job_id)), Context())
        attributes = {f"atelier.{name}": fact for name, fact in stage.facts.items()}
        span = self._tracer.start_span(stage.name, parent, start_time=began_ns, attributes=attributes)
        span.end(ended_ns)

    def expect_post(self, job_id: str) -> None:
        self._get(job_id, time.time_ns()).is_to_be_posted = True

    def end(self, job_id: str, *, is_posted: bool) -> None:
        going = self._open.get(job_id)
        if going is not None and (is_posted or not going.is_to_be_posted):
            self._close(job_id)

    def shut_down(self) -> None:
        """End what is on its way where it has got to, and send all. Blocks, for seconds where nothing listens."""
        for job_id in list(self._open):
            self._close(job_id)
        self._provider.shutdown()

    def _get(self, job_id: str, now_ns: int) -> _Open:
        if job_id not in self._open:
            self._open[job_id] = _Open(now_ns, now_ns)
            if len(self._open) > MAX_OPEN:
                self._close(next(iter(self._open)))
        return self._open[job_id]

    def _close(self, job_id: str) -> None:
        """Make the first span of a job, around all others."""
        going = self._open.pop(job_id)
        self._ids.span = build_context(job_id)
        try:
            span = self._tracer.start_span(
                "request", Context(), start_time=going.began_ns, attributes={"atelier.job": job_id}
            )
        finally:
            self._ids.span = None
        span.end(going.ended_ns)


def build_context(job_id: str) -> SpanContext:
    """Return the ids of a job's trace and of its first span."""
    digest = hashlib.sha256(job_id.encode()).digest()
    trace_id, span_id = int.from_bytes(digest[:16], "big"), int.from_bytes(digest[16:24], "big")
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _to_wall_ns(monotonic_s: float) -> int:
    return time.time_ns() - round((time.monotonic() - monotonic_s) * 1e9)


@contextmanager
def record_traces(endpoint: str) -> Iterator[None]:
    """Send traces to an OTLP endpoint while the context lasts."""
    recorder = SpanRecorder(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=5)))
    tracing.install(recorder)
    try:
        yield
    finally:
        tracing.install(None)
        recorder.shut_down()
