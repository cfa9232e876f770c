"""Who is where: the RFC's PresenceEntity and its parts, and how they become a record of an update."""
from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Union
from uuid import UUID, uuid4

from . import wire
from .values import REMOVED, Removed, Value, context_bytes, metadata_bytes
from .volumes import BOX, SPHERE, Box, Quaternion, Sphere, place


class EntityType(enum.IntEnum):
    """What an entity is. CUSTOM has a code of the application's beside it."""

    STATIC = 0
    MOBILE = 1
    TEMPORARY = 2
    RECURRING = 3
    CUSTOM = 128


class ActivityState(enum.IntEnum):
    ACTIVE = 0
    INACTIVE = 1
    BUSY = 2
    AWAY = 3
    CUSTOM = 4


class VisibilityLevel(enum.IntEnum):
    PUBLIC = 0
    ANONYMOUS = 1
    RESTRICTED = 2
    HIDDEN = 3


class PowerMode(enum.IntEnum):
    """How exact others must know where an entity is, and for how many announced intervals it may be silent: 1, 2, 8, as its course holds."""

    HIGH_ACCURACY = 0
    BALANCED = 1
    LOW_POWER = 2
    ADAPTIVE = 3


class PrecisionLevel(enum.IntEnum):
    """What others may learn of a place, at most."""

    EXACT = 0
    METERS_1 = 1
    METERS_10 = 2
    METERS_100 = 3
    KILOMETERS_1 = 4
    KILOMETERS_10 = 5


class CoordinateSystem(enum.Enum):
    CARTESIAN = "cartesian"  # x, y, z in metres
    GEODETIC = "geodetic"  # WGS84: latitude, longitude in degrees, height above the ellipsoid in metres


@dataclass(frozen=True, slots=True)
class Space:
    """A coordinate world of an engine's; id None: its first one."""

    id: UUID | None = None
    coordinates: CoordinateSystem = CoordinateSystem.CARTESIAN


# The two of an engine's built-in configuration.
LOCAL = Space(UUID("6c6f6361-6c00-4000-8000-000000000001"), CoordinateSystem.CARTESIAN)
WORLD = Space(UUID("776f726c-6400-4000-8000-000000000001"), CoordinateSystem.GEODETIC)

Place = Union[tuple[float, float], tuple[float, float, Union[float, None]]]
Duration = Union[timedelta, float, int]


def numbered(namespace: str, number: int) -> UUID:
    """The id of a number in a namespace of at most 8 bytes, as the tools' `mmsi:230035780` has it."""
    name = namespace.encode()
    if len(name) > 8 or not 0 <= number < 1 << 64:
        raise ValueError(f"{namespace}:{number}: a namespace has at most 8 bytes, a number 64 bits")
    return UUID(bytes=name.ljust(8, b"\0") + number.to_bytes(8, "big"))


def named(entity_id: object) -> UUID:
    """An entity's id, whoever says it: a text of one would fail later, with words about UUID's insides."""
    if not isinstance(entity_id, UUID):
        raise TypeError(f"an entity's id is a uuid.UUID, not {type(entity_id).__name__}")
    return entity_id


def milliseconds(duration: Duration | None, what: str) -> int:
    """Of a timedelta, or of seconds; None is 0, what is meant by the default."""
    if duration is None:
        return 0
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
    if not 0 <= seconds < 1 << 32:
        raise ValueError(f"{what} of {seconds} s")
    ms = round(seconds * 1000)
    if ms >= 1 << 32 or (ms == 0 and seconds > 0):
        raise ValueError(f"{what} of {seconds} s: it is told in milliseconds, of 32 bits")
    return ms


@dataclass(slots=True)
class SpatialAddress:
    """A place. Without a height it is at height 0 in a CARTESIAN space and of unknown height in a GEODETIC one.

    velocity: m/s along the axes, on Earth east, north, up. precision: m, 0 = not stated. confidence: 0–1. timestamp: Unix ms when
    the position was taken (None: the status's). reference_frame: the entity whose frame the position is in.
    """

    position: Place
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    orientation: Quaternion | Removed | None = None
    precision: float = 0.0
    confidence: float | None = None
    timestamp: int | None = None
    reference_frame: UUID | None = None


@dataclass(slots=True)
class PresenceStatus:
    """timestamp: Unix ms of the event, None = now. duration: for how long the state holds, None = until changed.
    update_frequency: updates a minute that are announced; an engine calls stale who misses three."""

    state: ActivityState = ActivityState.ACTIVE
    timestamp: int | None = None
    duration: Duration | None = None
    confidence: float | None = None
    update_frequency: int = 0
    custom_state: int = 0  # with CUSTOM


@dataclass(slots=True)
class BroadcastConfig:
    """radius: m, how far the entity reaches, 0 = no limit. frequency: updates a minute that the engine takes of it, more are coalesced; 0 =
    the space's default."""

    radius: float = 0.0
    frequency: int = 0
    precision: PrecisionLevel = PrecisionLevel.EXACT
    power_mode: PowerMode = PowerMode.HIGH_ACCURACY


@dataclass(slots=True)
class PresenceContext:
    """The activity's name and tags, 1–32 bytes each; at most 8 tags."""

    activity: str = ""
    tags: Sequence[str] = ()


@dataclass(slots=True)
class Schedule:
    """Of a RECURRING entity: open from `opening` on for `open_for`, and again after each `period`."""

    opening: datetime | int  # aware, or Unix ms
    period: Duration
    open_for: Duration

    def content(self) -> bytes:
        if isinstance(self.opening, datetime):
            if self.opening.tzinfo is None:
                raise ValueError("an opening needs its time zone")
            opening = round(self.opening.timestamp() * 1000)
        else:
            opening = self.opening
        period, open_for = milliseconds(self.period, "a period"), milliseconds(self.open_for, "an opening")
        if not 0 <= opening < 1 << 64 or not 0 < open_for <= period:
            raise ValueError("a schedule is open for more than nothing, and not longer than its period")
        return wire.packed("<QII", opening, period, open_for)


@dataclass(slots=True)
class SpatialScope:
    """To whom and how finely an entity is told of. bounds: in which the asker's own point has to be, None = wherever. resolution: m, to which its
    place is rounded for everyone, 0 = not at all. max_propagation: how many engines it may cross."""

    bounds: Sphere | Box | None = None
    resolution: float = 0.0
    max_propagation: int = 0

    def content(self) -> bytes:
        kind, a, b = (0, (0.0,) * 3, (0.0,) * 3) if self.bounds is None else self.bounds.record()[:3]
        if not 0 <= self.resolution <= 100_000 or not 0 <= self.max_propagation <= 0xFFFF:
            raise ValueError(f"{self}: a resolution is 0 to 100,000 m, max_propagation has 16 bits")
        return wire.packed("<6dfHBB", *a, *b, self.resolution, self.max_propagation, kind, 0)


def scope_of(kind: int, a: tuple[float, float, float], b: tuple[float, float, float], resolution: float, max_propagation: int) -> SpatialScope:
    bounds = Sphere(a, b[0]) if kind == SPHERE else Box(a, b) if kind == BOX else None
    return SpatialScope(bounds, resolution, max_propagation)


@dataclass(slots=True)
class PresenceEntity:
    """Who is broadcast. Without an address it is where the node is.

    context None and metadata {} leave what the engine knows of them as it is; a name that is REMOVED goes, `PresenceContext()`, and REMOVED
    as schedule, as scope or as the address's orientation take away. An entity that states none of them is broadcast in a shorter message.
    """

    entity_type: EntityType = EntityType.MOBILE
    broadcast_config: BroadcastConfig = field(default_factory=BroadcastConfig)
    entity_id: UUID = field(default_factory=uuid4)
    spatial_address: SpatialAddress | None = None
    status: PresenceStatus = field(default_factory=PresenceStatus)
    visibility: VisibilityLevel = VisibilityLevel.PUBLIC
    context: PresenceContext | None = None
    metadata: Mapping[str, Value | Removed] = field(default_factory=dict)
    custom_type: int = 0  # 0–127, with CUSTOM
    schedule: Schedule | Removed | None = None
    spatial_scope: SpatialScope | Removed | None = None

    def blocks(self, address: SpatialAddress, payload: bytes | None) -> list[tuple[int, bytes]]:
        """What is said beside the state: blocks of a DETAILED_UPDATE, none of which is usual."""
        told: list[tuple[int, bytes]] = []
        if address.orientation is not None:
            told.append((1, b"" if isinstance(address.orientation, Removed) else wire.packed("<4f", *address.orientation)))
        if self.context is not None:
            empty = not self.context.activity and not self.context.tags
            told.append((2, b"" if empty else context_bytes(self.context.activity, self.context.tags)))
        if self.metadata:
            told.append((3, metadata_bytes(self.metadata)))
        if self.schedule is not None:
            told.append((4, b"" if isinstance(self.schedule, Removed) else self.schedule.content()))
        if address.reference_frame is not None:
            told.append((5, address.reference_frame.bytes))
        if payload is not None:
            if len(payload) > wire.PAYLOAD_MAX:
                raise ValueError(f"a payload of {len(payload)} bytes; {wire.PAYLOAD_MAX} are the most")
            told.append((6, payload))
        if self.spatial_scope is not None:
            told.append((7, b"" if isinstance(self.spatial_scope, Removed) else self.spatial_scope.content()))
        return told

    def record(self, address: SpatialAddress, coordinates: CoordinateSystem, *, sequence: int, now_ms: int, ttl: Duration | None = None,
               relocation: bool = False) -> bytes:
        """The 80 bytes of its update, whose message says that it is now_ms."""
        config, status = self.broadcast_config, self.status
        position, height_unknown = _split(address, coordinates)
        # By their names' numbers: another one would reach into its neighbour's bits.
        attributes = ActivityState(status.state) | VisibilityLevel(self.visibility) << 3 | PowerMode(config.power_mode) << 5 | \
            PrecisionLevel(config.precision) << 7 | height_unknown << 10 | relocation << 11
        if not all(map(math.isfinite, (*address.velocity, address.precision, config.radius))):
            raise ValueError("velocity, precision and radius are finite")
        if named(self.entity_id).int == 0:
            raise ValueError("an entity is not nil")
        kind = int(EntityType(self.entity_type))
        if self.entity_type == EntityType.CUSTOM:
            if not 0 <= self.custom_type <= 127:
                raise ValueError(f"custom_type {self.custom_type}: 0 to 127")
            kind += self.custom_type
        taken = status.timestamp if status.timestamp is not None else address.timestamp
        vx, vy, vz = (wire.half(v) for v in address.velocity)
        return wire.UpdateRecord(
            self.entity_id.bytes, position, sequence, time_offset=0 if taken is None else taken - now_ms, ttl=milliseconds(ttl, "a ttl"),
            duration=milliseconds(status.duration, "a duration"), radius=config.radius, precision=address.precision, velocity=(vx, vy, vz),
            frequency=config.frequency, update_frequency=status.update_frequency,
            position_confidence=wire.confidence_byte(address.confidence), status_confidence=wire.confidence_byte(status.confidence),
            entity_type=kind, custom_state=status.custom_state, attributes=attributes).pack()


def _split(address: SpatialAddress, coordinates: CoordinateSystem) -> tuple[wire.Vector, bool]:
    """Where it is, and whether its height is unknown."""
    x, y, *rest = address.position
    height = rest[0] if len(rest) == 1 else None
    geodetic = coordinates is CoordinateSystem.GEODETIC
    if len(rest) > 1 or (rest and height is None and not geodetic):
        raise ValueError(f"{address.position!r}: a position is two or three numbers; only on Earth a height may be unknown")
    unknown = height is None and geodetic and address.reference_frame is None
    return place((x, y, 0.0 if height is None else height)), unknown


__all__ = [
    "ActivityState", "BroadcastConfig", "CoordinateSystem", "Duration", "EntityType", "LOCAL", "Place", "PowerMode", "PrecisionLevel",
    "PresenceContext", "PresenceEntity", "PresenceStatus", "REMOVED", "Removed", "Schedule", "Space", "SpatialAddress", "SpatialScope", "Value",
    "VisibilityLevel", "WORLD", "milliseconds", "numbered",
]
