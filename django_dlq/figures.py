"""The values in which metrics are told. Their names are those of `dlq_stats --json`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What waits of the outbox, or of one topic, lane or broker. The age is 0.0 where nothing is due."""

    due: int = 0
    delayed: int = 0
    oldest_due_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox(Share):
    """What waits in the outbox. Where something is not exact, it is an estimate."""

    due_exact: bool
    delayed_exact: bool
    topics: Mapping[str, Share]
    lanes: Mapping[int, Share]
    brokers: Mapping[str, Share]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast messages went out, of all or of one topic or lane. Lag: from `publish` to the broker's confirmation."""

    rate: float = 0.0
    lag_seconds: float = 0.0
    longest_lag_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Pace):
    """What went out in the last `seconds`, as the history has it. Where it is not exact, it is an estimate."""

    seconds: int
    exact: bool
    topics: Mapping[str, Pace]
    lanes: Mapping[int, Pace]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """What groups did with messages, by group and outcome: in the last `seconds`, and what is kept up to a bound.

    `kept` has the outcomes other than `handled` only. Where `exact` is false, counting ended before all were counted.
    """

    seconds: int
    groups: Mapping[str, Mapping[str, int]]
    kept: Mapping[str, Mapping[str, int]]
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayState:
    """One relay that runs."""

    owner: str
    started_at: datetime
    lanes: tuple[int, ...]
    sent: int
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Relays:
    """The relays that run, and the lanes that none of them has."""

    alive: tuple[RelayState, ...]
    free_lanes: tuple[int, ...]

    @property
    def rate(self) -> float:
        """Messages per second, of all relays together."""
        return sum(relay.rate for relay in self.alive)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A broker that relays cannot reach, or one topic of a broker that is well, which rests in part.

    `topic` is empty for the whole broker. `since` and `reason` are those of the relay that noticed it first.
    """

    broker: str
    topic: str
    since: datetime
    reason: str
    relays: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """One thing that a person has paused."""

    scope: str
    broker: str
    topic: str
    key: str | None
    since: datetime
    reason: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCircuit:
    """A circuit that is not closed. `actor` is who has opened it by hand; empty where it opened by itself."""

    dependency: str
    state: str
    since: datetime
    reason: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A consumer group that takes nothing in one release, since `failed` of `out_of` messages of a handler failed."""

    group: str
    release: str
    is_own_release: bool
    since: datetime
    handler: str
    failed: int
    out_of: int
    error_class: str
    error_message: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspected:
    """A message that processes have died with while they handled nothing else, or that is being tried so just now."""

    group: str
    topic: str
    partition: int
    offset: int
    message_key: str
    handler: str
    deaths: int
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """Dead letters by state, counted up to a bound; those that hold their key, by topic; those parked, by group."""

    states: Mapping[str, int]
    held: Mapping[str, int]
    parked: Mapping[str, int]
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfMessages:
    """Half messages by state, those that are open up to a bound, and the others as far as they are new.

    The ages are 0.0 where there is none. `missing_checkers`: by name, how many wait for a checker that is not there.
    """

    states: Mapping[str, int]
    oldest_prepared_seconds: float
    oldest_undecided_seconds: float
    missing_checkers: Mapping[str, int]
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All figures of about one moment, on the database's clock."""

    at: datetime
    outbox: Outbox
    published: Published
    inbox: Inbox
    relays: Relays
    outages: tuple[Outage, ...]
    pauses: tuple[Paused, ...]
    circuits: tuple[OpenCircuit, ...]
    stopped: tuple[Stopped, ...]
    suspects: tuple[Suspected, ...]
    letters: Letters
    half_messages: HalfMessages

    def as_dict(self) -> dict[str, Any]:
        """Return what json.dumps takes; docs/reference/metrics.md has the names."""
        plain: dict[str, Any] = _plain(self)
        return plain


def ranges(lanes: Collection[int]) -> str:
    """Return lanes as people write them: 0-3, 7."""
    starts = sorted(lane for lane in lanes if lane - 1 not in lanes)
    ends = sorted(lane for lane in lanes if lane + 1 not in lanes)
    pairs = zip(starts, ends, strict=True)
    return ", ".join(str(start) if start == end else f"{start}-{end}" for start, end in pairs)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value.isoformat() if isinstance(value, datetime) else value
