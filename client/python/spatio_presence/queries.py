"""Who is near: the RFC's PresenceQuery and its parts, how they become a record of a query, and what is found."""
from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Union, overload
from uuid import UUID

from . import replies, wire
from .entities import ActivityState, Duration, EntityType, PresenceContext, Schedule, SpatialScope, milliseconds, scope_of
from .filters import EntityFilter
from .values import Value
from .volumes import NEAREST, BoundingVolume, Position, Quaternion, place
from .wire import Vector

RESULTS_MAX = 65536  # that one query_presence gathers


class Priority(enum.IntEnum):
    """Who is served first, and gets most, where several classes meet."""

    NORMAL = 0
    LOW = 1
    HIGH = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """When: so far ahead of the engine's clock when it answers, where the entities' courses lead by then; 0 is now. The past is not kept."""

    ahead: Duration = 0.0


@dataclass(frozen=True, slots=True)
class QueryResolution:
    """spatial, m: above 0 not entities come, but how many there are in each cell of the coarsest cells up to this edge. temporal, ms: older
    states are left out, 0 = none is. attribute, 0–1: below 0.5 id and position only, 1 everything, with details."""

    spatial: float = 0.0
    temporal: int = 0
    attribute: float = 0.5


@dataclass(frozen=True, slots=True)
class SubscriptionConfig:
    """How a standing query tells. update_frequency: flushes of MOVEs a minute at most, 0 = no limit. filter_updates: MOVE only beyond the
    query's spatial resolution. batch_updates: few large messages, up to 100 ms late. expiration: Unix ms at which it ends; None: it goes on
    for as long as it is watched.

    moves, payloads: MOVE, PAYLOAD are told at all. window: events that may wait here, read by nobody, before the engine waits and merges.
    """

    update_frequency: int = 0
    priority: Priority = Priority.NORMAL
    filter_updates: bool = False
    batch_updates: bool = False
    expiration: int | None = None
    moves: bool = True
    payloads: bool = False
    window: int = 512


@dataclass(frozen=True, slots=True)
class PresenceQuery:
    """spatial_bounds: where. origin: the asker's own point, from which distances count and which entities' reach is about; left out, it is the
    bounds' centre. heights: from, to, m; an unknown height is in no range. max_results: in all, 0 = as many as there are (65,536)."""

    spatial_bounds: BoundingVolume
    entity_filter: EntityFilter = field(default_factory=EntityFilter)
    temporal_window: TimeWindow | None = None
    resolution: QueryResolution = field(default_factory=QueryResolution)
    subscription: SubscriptionConfig | None = None
    origin: Position | None = None
    heights: tuple[float, float] | None = None
    distance_3d: bool = False
    max_results: int = 0
    priority: Priority = Priority.NORMAL

    def record(self, *, query_id: int = 1, geodetic: bool = False, max_results: int = 0, cursor: tuple[int, int] | None = None,
               fence: bool = False) -> wire.QueryRecord:
        """Its record and extension. fence: as a standing query has it, without what is asked for each time."""
        volume = self.spatial_bounds.record(geodetic)
        types, states = self.entity_filter.masks()
        extension, flags = volume.extension, 0
        program = self.entity_filter.program()
        if program:
            extension += wire.block(wire.FILTER, program)
        if self.origin is not None:
            flags |= wire.HAS_ORIGIN
        if self.heights is not None:
            flags |= wire.HEIGHT_RANGE
        if self.distance_3d:
            flags |= wire.DISTANCE_3D
        if cursor is not None:
            flags |= wire.HAS_CURSOR
        if not fence:
            extension += self._blocks()
            if self.resolution.attribute >= 1 and self.resolution.spatial == 0:
                flags |= wire.WITH_DETAILS
        if extension:
            flags |= wire.HAS_EXTENSION
        low, high = self.heights or (0.0, 0.0)
        return wire.QueryRecord(
            query_id, volume.kind, 0 if fence else int(self.priority), flags, volume.max_results or max_results, 0, types, states, volume.a,
            volume.b, place(self.origin) if self.origin is not None else (0.0, 0.0, 0.0), low, high, cursor or (0, 0), extension)

    def _blocks(self) -> bytes:
        r, blocks = self.resolution, b""
        if self.temporal_window is not None:
            ahead = milliseconds(self.temporal_window.ahead, "a moment ahead")
            if ahead >= 1 << 31:
                raise ValueError(f"a moment {ahead} ms ahead")
            blocks += wire.block(wire.TIME, wire.packed("<iI", ahead, 0))
        if not 0 <= r.spatial < math.inf or not 0 <= r.attribute <= 1 or not 0 <= r.temporal < 1 << 32:
            raise ValueError(f"{r}: spatial 0 and more, temporal ms of 32 bits, attribute 0 to 1")
        if r.spatial > 0 or r.temporal or r.attribute < 0.5:
            blocks += wire.block(wire.RESOLUTION, wire.packed("<fIfI", r.spatial, r.temporal, min(r.attribute, 0.5), 0))
        return blocks

    @property
    def nearest(self) -> bool:
        return self.spatial_bounds.record().kind == NEAREST


# ---- what is found -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Details:
    """What an entity says beside its state. parent: the entity in whose frame `parent_position` is."""

    orientation: Quaternion | None = None
    context: PresenceContext | None = None
    metadata: dict[str, Value] = field(default_factory=dict)
    schedule: Schedule | None = None
    parent: UUID | None = None
    parent_position: Vector | None = None
    scope: SpatialScope | None = None


@dataclass(frozen=True, slots=True)
class FoundEntity:
    """Of a query with attribute below 0.5, and of a LEAVE that names its entity only, id and position are all that is told.

    position: the third number is None where the height is unknown. distance, precision: m. Confidences: None = not stated. precision 0 = not
    stated; about a moment ahead, how far beside the position it may be then.
    """

    entity_id: UUID
    position: tuple[float, float, float | None]
    distance: float = 0.0
    age_ms: int = 0
    ttl_left_ms: int = 0  # rounded up to tenths of a second
    velocity: Vector = (0.0, 0.0, 0.0)
    precision: float = 0.0
    entity_type: EntityType = EntityType.STATIC
    custom_type: int = 0
    state: ActivityState = ActivityState.ACTIVE
    custom_state: int = 0
    position_confidence: float | None = None
    status_confidence: float | None = None
    stale: bool = False
    details: Details | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """How many entities there are in a cell. Its centre and size name it: they are the same in every answer."""

    centre: Vector
    count: int
    size: float
    height: float
    newest_age_ms: int
    level: int
    # Of entities that may be counted only: below_cells cells in it have fewer than `below` each, and at least one; not in `count`. below 0:
    # how many is not told.
    below: int = 0
    below_cells: int = 0


def details_of(record: replies.DetailsRecord) -> Details:
    schedule = record.schedule
    opening = datetime.fromtimestamp(min(schedule[0], 253402300799000) / 1000, timezone.utc) if schedule else None
    return Details(
        record.orientation, PresenceContext(*record.context) if record.context else None, record.metadata or {},
        Schedule(opening, timedelta(milliseconds=schedule[1]), timedelta(milliseconds=schedule[2])) if schedule and opening else None,
        UUID(bytes=record.frame[0]) if record.frame else None, record.frame[1] if record.frame else None,
        scope_of(*record.scope) if record.scope else None)


def found_of(r: replies.ResultRecord) -> FoundEntity:
    x, y, z = r.position
    return FoundEntity(
        UUID(bytes=r.entity_id), (x, y, None if r.state & replies.HEIGHT_UNKNOWN else z), r.distance, r.age, r.ttl_left * 100, r.velocity,
        r.precision, EntityType(min(r.entity_type, 128)), max(0, r.entity_type - 128), ActivityState(r.state & 7), r.custom_state,
        wire.confidence(r.position_confidence), wire.confidence(r.status_confidence), bool(r.state & replies.STALE),
        details_of(r.details) if r.details is not None else None)


def short_of(r: replies.ShortRecord) -> FoundEntity:
    x, y, z = r.position
    return FoundEntity(UUID(bytes=r.entity_id), (x, y, None if math.isnan(z) else z))


def cell_of(r: replies.CellRecord) -> Cell:
    return Cell(r.centre, r.entities, r.size, r.height, r.newest_age, r.level, r.below, r.below_cells)


class PresenceResults(Sequence[FoundEntity]):
    """What a query found: a sequence of entities (those of `Nearest` by distance, others in no order), or, where the query's resolution has a
    spatial edge, `cells` in their place. truncated: a bound cut it, there is more."""

    def __init__(self, found: Sequence[FoundEntity] = (), cells: Sequence[Cell] = (), truncated: bool = False, pages: int = 1):
        self._found, self.cells, self.truncated, self.pages = tuple(found), tuple(cells), truncated, pages

    @overload
    def __getitem__(self, index: int) -> FoundEntity: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[FoundEntity]: ...

    def __getitem__(self, index: Union[int, slice]) -> Union[FoundEntity, Sequence[FoundEntity]]:
        return self._found[index]

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[FoundEntity]:
        return iter(self._found)

    def __repr__(self) -> str:
        what = f"{len(self.cells)} cells" if self.cells else f"{len(self)} entities"
        return f"<PresenceResults: {what}{', truncated' if self.truncated else ''}>"

    def by_id(self) -> dict[UUID, FoundEntity]:
        return {e.entity_id: e for e in self._found}


class Cause(enum.IntEnum):
    """Why an entity is not in an answer or a fence (1–15, 26), and what else there is to know of it: docs/protocol.md, EXPLAIN."""

    UNKNOWN = 1
    GONE = 2
    SPACE = 3
    TYPE = 4
    STATE = 5
    HEIGHT = 6
    FILTER = 7
    VOLUME = 8
    REACH = 9
    RANK = 10
    BOUND = 11
    SCOPE = 12
    DWELL = 13
    UNLOOKED = 14
    ITSELF = 15
    COALESCED = 16
    PENDING = 17
    ELSEWHERE = 18
    MARGIN = 19
    LEAVING = 20
    OUTDATED = 21
    WAITS = 22
    KEPT = 23
    FULL = 24
    NOWHERE = 25
    VEILED = 26


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an entity is (found True) or is not in the answer to a query; None: undecided, ask again. Distances, m, are None where they are not
    told; `position` and what follows it are told when the entity is known in the query's space."""

    found: bool | None
    first_cause: Cause | None
    causes: frozenset[Cause]
    position: tuple[float, float, float | None] | None = None
    distance: float | None = None
    edge: float | None = None
    beyond: float | None = None
    asker: float | None = None
    held: float | None = None
    radius: float = 0.0
    age_ms: int = 0
    ttl_left_ms: int = 0
    held_ms: int = 0
    due_ms: int = 0
    filter_step: int | None = None


def explanation_of(e: replies.Explanation) -> Explanation:
    causes = frozenset(c for c in Cause if e.causes >> c & 1)
    found = {0: False, 1: True}.get(e.verdict)
    first = Cause(e.first_cause) if e.first_cause else None
    if causes & {Cause.UNKNOWN, Cause.GONE, Cause.SPACE}:
        return Explanation(found, first, causes)
    x, y, z = e.position
    distance, edge, beyond, asker, held = (None if d < 0 else d for d in (e.distance, e.edge, e.beyond, e.asker, e.held))
    return Explanation(found, first, causes, (x, y, None if e.state & replies.HEIGHT_UNKNOWN else z), distance, edge, beyond, asker, held,
                       e.radius, e.age, e.ttl_left, e.held_ms, e.due, e.filter_step or None)
