"""Which entities are wanted: the RFC's EntityFilter, and the filters of docs/filters.md, which it is made of.

A `Filter` is tests joined by & | ~, or made of text by `Filter.parse`: it is the program that a query carries, bounded by the protocol to 64
steps and 512 bytes.
"""
from __future__ import annotations

import math
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Union
from uuid import UUID

from .entities import ActivityState, Duration, EntityType
from .values import Value, entry, name_bytes
from .wire import confidence_byte, packed, padded

STEPS_MAX, PROGRAM_MAX, DEPTH_MAX, IDS_MAX, IN_MAX = 64, 512, 16, 31, 63
AND, OR, NOT = 1, 2, 3
TYPE, STATE, CUSTOM_TYPE, CUSTOM_STATE, ID, POSITION_CONFIDENCE, STATUS_CONFIDENCE, AGE, RADIUS, SPEED, STALE = range(16, 27)
TAG, ACTIVITY, META, META_IN, META_EXISTS = range(32, 37)

Compare = Literal["=", "!=", "<", "<=", ">", ">="]
COMPARES: Final[dict[str, int]] = {"=": 1, "!=": 2, "<": 3, "<=": 4, ">": 5, ">=": 6}


class Step(NamedTuple):
    op: int
    argument: int = 0
    operand: int = 0
    constant: bytes = b""


@dataclass(frozen=True, slots=True)
class Filter:
    """Steps behind what they join. Made by the functions of this module, or `parse`."""

    steps: tuple[Step, ...]

    def __and__(self, other: Filter) -> Filter:
        return Filter((*self.steps, *other.steps, Step(AND)))

    def __or__(self, other: Filter) -> Filter:
        return Filter((*self.steps, *other.steps, Step(OR)))

    def __invert__(self) -> Filter:
        return Filter((*self.steps, Step(NOT)))

    @staticmethod
    def parse(text: str) -> Filter:
        """Of the text form of docs/filters.md; a `FilterError` names the column of a mistake."""
        from .filter_text import parse

        return parse(text)

    def program(self) -> bytes:
        """Its bytes."""
        if len(self.steps) > STEPS_MAX:
            raise ValueError(f"a filter of {len(self.steps)} steps; {STEPS_MAX} are the most")
        waiting = most = 0
        for step in self.steps:
            waiting += 1 if step.op > NOT else 0 if step.op == NOT else -1
            most = max(most, waiting)
        if most > DEPTH_MAX:
            raise ValueError(f"a filter in which {most} tests wait for one another; {DEPTH_MAX} are the most")
        data = padded(b"".join(packed("<BBH", s.op, s.argument, s.operand) for s in self.steps)) + \
            b"".join(s.constant for s in self.steps)
        if 8 + len(data) > PROGRAM_MAX:
            raise ValueError(f"a filter of {8 + len(data)} bytes; {PROGRAM_MAX} are the most")
        return struct.pack("<HBBI", 8 + len(data), len(self.steps), 0, 0) + data


class FilterError(ValueError):
    """A text that is no filter: where, in characters from 1, and what was expected there."""

    def __init__(self, column: int, expected: str):
        self.column, self.expected = column, expected
        super().__init__(f"column {column}: {expected}")

    def __reduce__(self) -> tuple[type[FilterError], tuple[int, str]]:
        return type(self), (self.column, self.expected)


def _test(op: int, argument: int = 0, operand: int = 0, constant: bytes = b"") -> Filter:
    return Filter((Step(op, argument, operand, constant),))


def _text(text: str) -> bytes:
    data = name_bytes(text)
    return padded(bytes([len(data)]) + data)


def type_mask(types: Collection[EntityType]) -> int:
    """Bit n = type n, bit 4 = CUSTOM."""
    mask = 0
    for kind in types:
        mask |= 1 << min(int(EntityType(kind)), 4)
    return mask


def state_mask(states: Collection[ActivityState]) -> int:
    mask = 0
    for state in states:
        mask |= 1 << ActivityState(state)
    return mask


def types(*wanted: EntityType) -> Filter:
    return _test(TYPE, 0, type_mask(wanted))


def states(*wanted: ActivityState) -> Filter:
    return _test(STATE, 0, state_mask(wanted))


def custom_type(compare: Compare, code: int) -> Filter:
    if not 0 <= code <= 127:
        raise ValueError(f"a custom type of {code}: 0 to 127")
    return _test(CUSTOM_TYPE, COMPARES[compare], code)


def custom_state(compare: Compare, code: int) -> Filter:
    if not 0 <= code <= 255:
        raise ValueError(f"a custom state of {code}: 0 to 255")
    return _test(CUSTOM_STATE, COMPARES[compare], code)


def ids(*wanted: UUID) -> Filter:
    """One of these; 31 at most."""
    listed = sorted({i.bytes for i in wanted})
    if not 1 <= len(listed) <= IDS_MAX or not any(listed[0]):
        raise ValueError(f"{len(listed)} ids: 1 to {IDS_MAX}, and none is nil")
    return _test(ID, len(listed), 0, b"".join(listed))


def position_confidence(compare: Compare, value: float) -> Filter:
    return _test(POSITION_CONFIDENCE, COMPARES[compare], confidence_byte(value))


def status_confidence(compare: Compare, value: float) -> Filter:
    return _test(STATUS_CONFIDENCE, COMPARES[compare], confidence_byte(value))


def age(compare: Compare, value: Duration) -> Filter:
    """How old the state is, a timedelta or seconds; negative where a clock is ahead."""
    seconds = value if isinstance(value, (int, float)) else value.total_seconds()
    if not math.isfinite(seconds):
        raise ValueError(f"an age of {seconds} s")
    return age_ms(compare, round(seconds * 1000))


def age_ms(compare: Compare, value: int) -> Filter:
    if not -1 << 63 <= value < 1 << 63:
        raise ValueError(f"an age of {value} ms")
    return _test(AGE, COMPARES[compare], 0, struct.pack("<q", value))


def radius(compare: Compare, meters: float) -> Filter:
    """The reach; infinity is no limit."""
    if not meters >= 0:
        raise ValueError(f"a radius of {meters}")
    return _test(RADIUS, COMPARES[compare], 0, struct.pack("<d", meters))


def speed(compare: Compare, meters_per_second: float) -> Filter:
    if not 0 <= meters_per_second < math.inf:
        raise ValueError(f"a speed of {meters_per_second}")
    return _test(SPEED, COMPARES[compare], 0, struct.pack("<d", meters_per_second))


def stale() -> Filter:
    """Announced updates have not come."""
    return _test(STALE)


def tag(name: str) -> Filter:
    return _test(TAG, constant=_text(name))


def activity(name: str) -> Filter:
    return _test(ACTIVITY, constant=_text(name))


def meta(name: str, compare: Compare, value: Value) -> Filter:
    """The name is there and its value compares so; None and bools have = and != only."""
    if (value is None or isinstance(value, bool)) and compare not in ("=", "!="):
        raise ValueError(f"{value} has no order")
    name_bytes(name)
    return _test(META, COMPARES[compare], 0, entry(name, value))


def meta_in(name: str, values: Collection[Value]) -> Filter:
    if not 1 <= len(values) <= IN_MAX:
        raise ValueError(f"{len(values)} values: 1 to {IN_MAX}")
    name_bytes(name)
    return _test(META_IN, len(values), 0, b"".join(entry("" if n else name, value) for n, value in enumerate(values)))


def meta_exists(name: str) -> Filter:
    return _test(META_EXISTS, constant=_text(name))


MetaTest = Union[Value, tuple[Compare, Value]]


@dataclass(frozen=True, slots=True)
class EntityFilter:
    """All of what is given must be so; nothing given takes everyone.

    types, states, ids: one of them. tags: all of them. min_confidence: of the position, 0–1; who states none is left out. max_age: of the
    state. metadata: by name a value, or a comparison and a value. where: a `Filter`, or its text.
    """

    types: Collection[EntityType] | None = None
    states: Collection[ActivityState] | None = None
    ids: Collection[UUID] | None = None
    tags: Collection[str] | None = None
    activity: str | None = None
    min_confidence: float | None = None
    max_age: Duration | None = None
    metadata: Mapping[str, MetaTest] | None = None
    where: Filter | str | None = None

    def masks(self) -> tuple[int, int]:
        """Of types and states, as a query has them; 0 = all. An empty collection, of which nobody is, has no mask."""
        if (self.types is not None and not self.types) or (self.states is not None and not self.states):
            raise ValueError("no type, or no state: nobody is of none")
        return type_mask(self.types or ()), state_mask(self.states or ())

    def program(self) -> bytes:
        """Of everything else; b"" where there is nothing else."""
        parts = []
        if self.ids is not None:
            parts.append(ids(*self.ids))
        if self.max_age is not None:
            parts.append(age("<=", self.max_age))
        if self.min_confidence is not None:
            parts.append(position_confidence(">=", self.min_confidence))
        parts += [tag(name) for name in self.tags or ()]
        if self.activity is not None:
            parts.append(activity(self.activity))
        for name, wanted in (self.metadata or {}).items():
            compare, value = wanted if isinstance(wanted, tuple) else ("=", wanted)
            parts.append(meta(name, compare, value))
        if self.where is not None:
            parts.append(Filter.parse(self.where) if isinstance(self.where, str) else self.where)
        if not parts:
            return b""
        whole = parts[0]
        for part in parts[1:]:
            whole = whole & part
        return whole.program()
