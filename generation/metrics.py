"""What the rooms count for Prometheus: one process's counters and times since its start. `/metrics` shows them.

A label never holds a server, a member, a channel, a job or words of a prompt: the values of each are a short list that
the program or its operator decides. What can be read at any moment is no counter here: `cli/metrics_collector.py`
reads it when it is asked.
"""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from generation.errors import AtelierError, failure_class

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series, and `process_start_time_seconds` says as much
REGISTRY = CollectorRegistry()
_PAINTING = (0.5, 1, 2, 5, 10, 20, 40, 60, 120, 300, 600, 1800, 3600)
_ANSWERS = (0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 5, 10)
_COMMITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_LAGS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


def _count(name: str, what: str, *labels: str) -> Counter:
    return Counter(f"atelier_{name}", what, labels, registry=REGISTRY)


def _time(name: str, what: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"atelier_{name}_seconds", what, labels, buckets=buckets, registry=REGISTRY)


# What the database stands for: counted when it is committed (`db.counting`).
JOBS_ACCEPTED = _count("jobs_accepted", "Requests that were accepted.")
IMAGES_ACCEPTED = _count("images_accepted", "Pictures of accepted requests.")
IMAGES_STARTED = _count("images_started", "Hand-outs of pictures to workers; one that was lost is handed out again.")
IMAGES_ENDED = _count("images_ended", "Pictures that ended, by how.", "outcome")
IMAGES_WITHHELD_LATE = _count("images_withheld_late", "Pictures that ended as done, and were withheld when posted.")
DELIVERIES = _count("deliveries", "Results that were delivered, by the way it took.", "way")

# The way of a picture.
FAILURES = _count("image_failures", "Pictures that failed, by the kind of failure.", "error")
QUEUE_WAIT = _time(
    "queue_wait", "From acceptance until a worker takes a picture, by how it ends.", _PAINTING, "outcome"
)
IMAGE_TIME = _time("image", "From acceptance until a picture ends, by how.", _PAINTING, "outcome")
DELIVERY_TIME = _time("delivery", "From the end of a job until its result is posted.", _PAINTING)
STEPS = _count("steps", "Model evaluations of pictures, by worker.", "member")
ROWS = _count("batch_rows", "Rows of forward passes that held a picture, by worker.", "member")
CAPACITY = _count("batch_capacity_rows", "Rows of the same forward passes, filled or not, by worker.", "member")

# People and Discord.
ACKNOWLEDGED = _time("acknowledge", "From a request until Discord has our acknowledgement.", _ANSWERS)
REFUSALS = _count("refusals", "Requests that were refused, by the kind of refusal.", "kind")
INCIDENTS = _count("incidents", "Errors of the program that were shown with an incident number.")
DISCORD_REQUESTS = _count("discord_requests", "Requests to Discord's API, by the class of their answer.", "status")
DISCORD_TIME = _time("discord_request", "How long Discord's API takes to answer.", _ANSWERS)
RATE_LIMITS = _count("discord_rate_limits", "Answers 429 of Discord, by what was limited.", "scope")
HEARTBEAT = Gauge(
    "atelier_discord_heartbeat_seconds", "How long Discord took for the last heartbeat.", ["shard"], registry=REGISTRY
)

# The API and the fleet.
API_REQUESTS = _count(
    "api_requests", "Requests to the API, by dialect and the class of their answer.", "dialect", "status"
)
API_TIME = _time("api_request", "From a request to the API until its answer begins, by dialect.", _PAINTING, "dialect")
API_OPEN = Gauge("atelier_api_open_requests", "Requests to the API under way.", ["dialect"], registry=REGISTRY)
FLEET = Gauge("atelier_fleet_state", "1 for the state that the fleet is in.", ["state"], registry=REGISTRY)
FLEET_LOSSES = _count("fleet_losses", "Times that the fleet was lost, or could not be reached.")

# The machine.
COMMIT_TIME = _time("database_commit", "How long a transaction of writes takes, to the disk.", _COMMITS)
WRITES = _count("database_writes", "Writes; several share a transaction.")
WRITE_FAILURES = _count("database_write_failures", "Transactions of writes that failed.")
LOOP_LAG = _time("loop_lag", "How late a timer of the event loop fires, sampled every 20 ms.", _LAGS)
LOOP_STALLS = _count("loop_stalls", "Times that the event loop did not turn for 5 s.")

_SCOPES = ("user", "global", "shared")
"""What Discord says in `X-RateLimit-Scope`."""
KNOWN: dict[Counter, tuple[str, ...]] = {
    IMAGES_ENDED: ("done", "withheld", "cancelled", "failed"),
    DELIVERIES: ("token", "own-message", "found", "new-message", "history"),
    DISCORD_REQUESTS: ("2xx", "4xx", "429", "5xx", "lost"),
    RATE_LIMITS: (*_SCOPES, "unknown"),
}
"""Values of labels that are there from the start: Prometheus sees no increase from nothing to 1."""
for _counter, _values in KNOWN.items():
    for _value in _values:
        _counter.labels(_value)


def count_step(member: str, steps: int, *, rows: int, capacity: float) -> None:
    """Count what a worker reports of one picture: evaluations done, and its part of the last forward."""
    counted_steps, counted_rows, counted_capacity = _of_member(member)
    counted_steps.inc(steps)
    counted_rows.inc(rows)
    counted_capacity.inc(capacity)


@cache
def _of_member(member: str) -> tuple[Counter, Counter, Counter]:
    return STEPS.labels(member), ROWS.labels(member), CAPACITY.labels(member)


def count_end(outcome: str, *, wait_s: float, whole_s: float, error: str | None) -> None:
    """Count the end of a picture that was in this process's line."""
    QUEUE_WAIT.labels(outcome).observe(wait_s)
    IMAGE_TIME.labels(outcome).observe(whole_s)
    if error is not None:
        FAILURES.labels(failure_class(error).code).inc()


def count_refusal(error: BaseException) -> None:
    """Count a request that was refused, by the class of its error."""
    REFUSALS.labels(error.code if isinstance(error, AtelierError) else type(error).__name__).inc()


def note_fleet(*, is_connected: bool) -> None:
    """Note whether the fleet is in reach. Without a fleet there is no such series."""
    FLEET.labels("connected").set(is_connected)
    FLEET.labels("lost").set(not is_connected)


def class_of(status: int | None) -> str:
    """Return the class of an answer; None is a request that got none."""
    return "lost" if status is None else "429" if status == 429 else f"{status // 100}xx"


def count_answer(status: int | None, seconds: float, *, scope: str | None) -> None:
    """Count an answer of Discord's API; None is a request that got none. `scope`: of the limit that a 429 tells of."""
    DISCORD_TIME.observe(seconds)
    DISCORD_REQUESTS.labels(class_of(status)).inc()
    if status == 429:
        RATE_LIMITS.labels(scope if scope in _SCOPES else "unknown").inc()
