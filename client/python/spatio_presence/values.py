"""Values, metadata and contexts as bytes, and back: docs/filters.md. What comes from an engine is checked to its last byte."""
from __future__ import annotations

import enum
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Union

from .wire import padded

NAMES_MAX, METADATA_MAX, CONTEXT_MAX, TAGS_MAX, NAME_MAX = 16, 1024, 304, 8, 32


class Removed(enum.Enum):
    """In metadata that are broadcast: the name goes. In place of other details: they go."""

    REMOVED = "removed"


REMOVED: Final = Removed.REMOVED
Value = Union[None, bool, int, float, str, bytes]

_HEAD = struct.Struct("<HBBI")
_ENTRY = struct.Struct("<BBH")


class Unsound(Exception):
    """Bytes that are not what they are to be."""


def name_bytes(name: str) -> bytes:
    """A name, a tag or an activity: 1–32 bytes of UTF-8 without control characters."""
    data = name.encode()
    if not 1 <= len(data) <= NAME_MAX or any(byte < 0x20 or byte == 0x7F for byte in data):
        raise ValueError(f"{name!r}: a name has 1 to {NAME_MAX} bytes, and no control characters")
    return data


def _value(value: Value | Removed) -> tuple[int, bytes]:
    if value is None:
        return 0, b""
    if isinstance(value, Removed):
        return 255, b""
    if isinstance(value, bool):
        return 1, bytes([value])
    if isinstance(value, int):
        if not -1 << 63 <= value < 1 << 63:
            raise ValueError(f"{value}: integers have 64 bits")
        return 2, struct.pack("<q", value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value}: numbers are finite")
        return 3, struct.pack("<d", value)
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a text has no U+0000")
        return 4, value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return 5, bytes(value)
    raise ValueError(f"{value!r} is no value: None, bool, int, float, str or bytes")


def entry(name: str, value: Value | Removed) -> bytes:
    """An entry; name "" is for the further values of a filter's list."""
    kind, data = _value(value)
    named = name_bytes(name) if name else b""
    if len(data) > METADATA_MAX:
        raise ValueError(f"a value of {len(data)} bytes; all metadata have {METADATA_MAX} at most")
    return padded(_ENTRY.pack(kind, len(named), len(data)) + named) + padded(data)


def metadata_bytes(metadata: Mapping[str, Value | Removed]) -> bytes:
    """A change of metadata (or, without REMOVED, the metadata themselves)."""
    if len(metadata) > NAMES_MAX:
        raise ValueError(f"{len(metadata)} names; an entity has {NAMES_MAX} at most")
    entries = b"".join(entry(name, value) for name, value in sorted(metadata.items(), key=lambda item: name_bytes(item[0])))
    if 8 + len(entries) > METADATA_MAX:
        raise ValueError(f"metadata of {8 + len(entries)} bytes; {METADATA_MAX} are the most")
    return _HEAD.pack(8 + len(entries), len(metadata), 0, 0) + entries


def context_bytes(activity: str, tags: Iterable[str]) -> bytes:
    names = sorted({name_bytes(tag) for tag in tags})
    if len(names) > TAGS_MAX:
        raise ValueError(f"{len(names)} tags; an entity has {TAGS_MAX} at most")
    doing = name_bytes(activity) if activity else b""
    body = padded(doing + b"".join(bytes([len(name)]) + name for name in names))
    return _HEAD.pack(8 + len(body), len(names), len(doing), 0) + body


# ---- from an engine ------------------------------------------------------------------------------


def _zeros(data: bytes) -> None:
    if any(data):
        raise Unsound("padding")


def _name(data: bytes) -> str:
    if not 1 <= len(data) <= NAME_MAX or any(byte < 0x20 or byte == 0x7F for byte in data):
        raise Unsound("name")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Unsound("name") from None


def _read_value(kind: int, data: bytes) -> Value:
    sizes = {0: 0, 1: 1, 2: 8, 3: 8}
    if kind > 5 or len(data) != sizes.get(kind, len(data)):
        raise Unsound("value")
    if kind == 0:
        return None
    if kind == 1:
        if data[0] > 1:
            raise Unsound("bool")
        return bool(data[0])
    if kind == 2:
        return int.from_bytes(data, "little", signed=True)
    if kind == 3:
        real: float = struct.unpack("<d", data)[0]
        if not math.isfinite(real):
            raise Unsound("number")
        return real
    if kind == 4:
        if b"\0" in data:
            raise Unsound("text")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise Unsound("text") from None
    return data


def _head(data: bytes, most: int) -> tuple[int, int]:
    if len(data) < 8 or len(data) > most or len(data) % 8:
        raise Unsound("length")
    length, first, second, reserved = _HEAD.unpack_from(data)
    if length != len(data) or reserved:
        raise Unsound("head")
    return first, second


def read_metadata(data: bytes) -> dict[str, Value]:
    count, reserved = _head(data, METADATA_MAX)
    if reserved or count > NAMES_MAX:
        raise Unsound("head")
    at, found, before = 8, {}, b""
    for _ in range(count):
        if len(data) - at < 8:
            raise Unsound("length")
        kind, named, size = _ENTRY.unpack_from(data, at)
        name_end = at + 4 + named
        start = name_end + -(4 + named) % 8
        end = start + size
        over = end + -size % 8
        if over > len(data):
            raise Unsound("length")
        raw = data[at + 4:name_end]
        name = _name(raw)
        if raw <= before:
            raise Unsound("order")
        _zeros(data[name_end:start])
        _zeros(data[end:over])
        found[name] = _read_value(kind, data[start:end])
        at, before = over, raw
    if at != len(data):
        raise Unsound("length")
    return found


def read_context(data: bytes) -> tuple[str, Sequence[str]]:
    """The activity ("" = none) and the tags."""
    count, doing = _head(data, CONTEXT_MAX)
    if count > TAGS_MAX or doing > NAME_MAX or 8 + doing > len(data):
        raise Unsound("head")
    activity = _name(data[8:8 + doing]) if doing else ""
    at, tags, before = 8 + doing, [], b""
    for _ in range(count):
        if at >= len(data):
            raise Unsound("length")
        raw = data[at + 1:at + 1 + data[at]]
        if len(raw) != data[at] or raw <= before:
            raise Unsound("tag")
        tags.append(_name(raw))
        at, before = at + 1 + len(raw), raw
    if len(data) - at >= 8:
        raise Unsound("length")
    _zeros(data[at:])
    return activity, tuple(tags)
