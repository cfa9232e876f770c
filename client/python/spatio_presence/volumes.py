"""Where a query looks: the RFC's BoundingVolume, one class for each kind that an engine knows.

Positions are x, y, z in metres in a CARTESIAN space, and latitude, longitude in degrees and height in metres in a GEODETIC one; a third
number that is left out is 0. Distances are metres, angles degrees, orientations unit quaternions x, y, z, w that turn the volume's own axes
into x, y, z, or on Earth into east, north, up at its place. What an engine makes of edges, poles and heights is in docs/protocol.md.
"""
from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Union

from .wire import NEAREST_MAX, VOLUME, Vector, block, packed, padded

Position = Union[tuple[float, float], tuple[float, float, float]]
Quaternion = tuple[float, float, float, float]

POINT, SPHERE, BOX, POLYGON, ORIENTED_BOX, FRUSTUM, NEAREST = range(1, 8)
RINGS_MAX, VERTICES_MAX = 16, 256
LEVEL: Final[Quaternion] = (0.0, 0.0, 0.0, 1.0)


class VolumeRecord(NamedTuple):
    """A volume's part of a query's record."""

    kind: int
    a: Vector
    b: Vector = (0.0, 0.0, 0.0)
    max_results: int = 0  # of the nearest
    extension: bytes = b""


def place(position: Sequence[float]) -> Vector:
    """Three finite numbers of two or three."""
    if len(position) not in (2, 3):
        raise ValueError(f"{position!r}: a position is two or three numbers")
    x, y, z = (float(n) for n in (*position, 0.0)[:3])
    if not all(map(math.isfinite, (x, y, z))):
        raise ValueError(f"{position!r}: a position is finite")
    return x, y, z


def _not_negative(name: str, value: float) -> float:
    if not 0.0 <= value < math.inf:
        raise ValueError(f"{name} of {value}: 0 or more, and finite")
    return float(value)


@dataclass(frozen=True, slots=True)
class Point:
    """Who is here: entities whose precision sphere holds the point."""

    at: Position

    def record(self, geodetic: bool = False) -> VolumeRecord:
        return VolumeRecord(POINT, place(self.at))


@dataclass(frozen=True, slots=True)
class Sphere:
    """Up to `radius` from the centre; on Earth along the surface, or straight with a query's distance_3d."""

    center: Position
    radius: float

    def record(self, geodetic: bool = False) -> VolumeRecord:
        return VolumeRecord(SPHERE, place(self.center), (_not_negative("a radius", self.radius), 0.0, 0.0))


@dataclass(frozen=True, slots=True)
class Box:
    """Between two corners, edges included; on Earth from south-west to north-east, across the antimeridian where west is greater than east,
    and without heights."""

    low: Position
    high: Position

    def record(self, geodetic: bool = False) -> VolumeRecord:
        return VolumeRecord(BOX, place(self.low), place(self.high))


@dataclass(frozen=True, slots=True)
class Polygon:
    """A ring of vertices (x, y or latitude, longitude) and holes in it; no ring repeats its first vertex.

    `at`: where distances count from; left out, the mean of the ring's vertices. `heights`: from, to. About 75 vertices fit a
    message; with `rounded` 256 do, each moved by at most a 65,534th of the polygon's extent.
    """

    ring: Sequence[tuple[float, float]]
    holes: Sequence[Sequence[tuple[float, float]]] = ()
    heights: tuple[float, float] = (-math.inf, math.inf)
    at: Position | None = None
    rounded: bool = False

    def record(self, geodetic: bool = False) -> VolumeRecord:
        rings = [self.ring, *self.holes]
        vertices = [(float(x), float(y)) for ring in rings for x, y in ring]
        if len(rings) > RINGS_MAX or len(vertices) > VERTICES_MAX or min(map(len, rings)) < 3:
            raise ValueError(f"a polygon has 1 to {RINGS_MAX} rings of 3 vertices and more, and {VERTICES_MAX} vertices in all")
        if not all(math.isfinite(n) for v in vertices for n in v):
            raise ValueError("a vertex that is not finite")
        data = packed("<BBHIdd", int(self.rounded), len(rings), len(vertices), 0, *self.heights)
        data += padded(b"".join(struct.pack("<H", len(ring)) for ring in rings))
        if self.rounded:
            data += self._rounded(vertices)
        else:
            data += b"".join(struct.pack("<dd", *v) for v in vertices)
        return VolumeRecord(POLYGON, place(self.at if self.at is not None else self._middle(geodetic)), extension=block(VOLUME, data))

    def _middle(self, geodetic: bool) -> Position:
        count, first = len(self.ring), self.ring[0][1]
        # Meridians are counted from the first vertex's, whichever way is shorter.
        turns = [round((first - y) / 360) * 360 if geodetic else 0 for _, y in self.ring]
        x, y = sum(x for x, _ in self.ring) / count, sum(y + turn for (_, y), turn in zip(self.ring, turns)) / count
        return (x, (y + 180) % 360 - 180) if geodetic else (x, y)

    @staticmethod
    def _rounded(vertices: Sequence[tuple[float, float]]) -> bytes:
        low = [min(v[i] for v in vertices) for i in (0, 1)]
        high = [max(v[i] for v in vertices) for i in (0, 1)]
        origin = [(low[i] + high[i]) / 2 for i in (0, 1)]
        scale = [(high[i] - low[i]) / 65534 or 1.0 for i in (0, 1)]
        pairs = [[max(-32767, min(32767, round((v[i] - origin[i]) / scale[i]))) for i in (0, 1)] for v in vertices]
        return struct.pack("<4d", *origin, *scale) + b"".join(struct.pack("<hh", *pair) for pair in pairs)


@dataclass(frozen=True, slots=True)
class OrientedBox:
    """`half`: half extents along its own axes."""

    center: Position
    half: tuple[float, float, float]
    orientation: Quaternion = LEVEL

    def record(self, geodetic: bool = False) -> VolumeRecord:
        return VolumeRecord(ORIENTED_BOX, place(self.center), extension=block(VOLUME, packed("<7d", *self.half, *self.orientation)))


@dataclass(frozen=True, slots=True)
class Frustum:
    """What somebody at the apex sees who looks along the volume's own x, with y to the left and z up. Whole angles."""

    apex: Position
    horizontal: float
    vertical: float
    near: float
    far: float
    orientation: Quaternion = LEVEL

    def record(self, geodetic: bool = False) -> VolumeRecord:
        content = packed("<8d", *self.orientation, self.horizontal, self.vertical, self.near, self.far)
        return VolumeRecord(FRUSTUM, place(self.apex), extension=block(VOLUME, content))


@dataclass(frozen=True, slots=True)
class Nearest:
    """The `count` (1–1000) nearest that stand the other tests, in the order of their distance; `within`: no further, 0 = wherever."""

    at: Position
    count: int
    within: float = 0.0

    def record(self, geodetic: bool = False) -> VolumeRecord:
        if not 1 <= self.count <= NEAREST_MAX:
            raise ValueError(f"the nearest {self.count}: 1 to {NEAREST_MAX}")
        return VolumeRecord(NEAREST, place(self.at), (_not_negative("a distance", self.within), 0.0, 0.0), self.count)


BoundingVolume = Union[Point, Sphere, Box, Polygon, OrientedBox, Frustum, Nearest]


def heading(degrees: float) -> Quaternion:
    """A turn about the upward axis, from x (on Earth from east) to the left."""
    turn = math.radians(degrees) / 2
    return 0.0, 0.0, math.sin(turn), math.cos(turn)
