"""Where an engine is, as a URI, and a node that is open there."""
from __future__ import annotations

import os
from typing import Any
from uuid import UUID

from . import wire
from .entities import Space
from .library import SessionLevel, LibraryTransport
from .node import Node
from .rings import RingTransport
from .transport import Transport, UdpTransport


def address_of(uri: str) -> str | tuple[str, int]:
    """The path of shm:///path, or host and port of udp://host:port, udp://host or udp://[::1]:port; libpresence understands the same."""
    if uri.startswith("shm:///") and len(uri) > 7:
        return uri[6:]
    if not uri.startswith("udp://"):
        raise ValueError(f"{uri}: understood are udp://host:port and shm:///run/presence/presence.sock")
    rest = uri[6:]
    if rest.startswith("["):
        host, closed, behind = rest[1:].partition("]")
        sound = bool(closed) and behind[:1] in ("", ":")
        colon, port = behind[:1], behind[1:]
    else:
        host, colon, port = rest.partition(":")
        sound = ":" not in port
    if not sound:
        raise ValueError(f"{uri}: an IPv6 address stands in [ ]")
    if not host or any(c in "/?#@" or c <= " " for c in host):
        raise ValueError(f"{uri}: names no host")
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{uri}: a port is a number from 1 to 65535")
    return host, int(port) if colon else wire.PORT


async def connect(uri: str = "udp://127.0.0.1", *, space: Space | UUID | None = None, key: str | os.PathLike[str] | None = None,
                  engine_key: str | bytes | None = None, psk: str | os.PathLike[str] | None = None, level: SessionLevel | str | int = SessionLevel.SIGN,
                  pack: bool = False, library: str | None = None, open_timeout: float = 5.0, **node: Any) -> Node:
    """An open node: `async with await connect(…) as node`, or `await node.close()` in the end.

    Without a key and without pack it is pure Python. With a key the node speaks in a session as the principal whose it is, and with pack large answers come in
    fewer datagrams: both by libpresence, see `LibraryTransport`. What else a node takes (position, timeout, attempts …) goes to it.
    `NoSession`: the engine opens none, for whatever reason; it does not say which."""
    transport: Transport
    where = address_of(uri)
    if key is not None or engine_key is not None or psk is not None or pack:
        transport = LibraryTransport(uri, key=key, engine_key=engine_key, psk=psk, level=level, pack=pack, library=library, timeout=open_timeout)
    elif isinstance(where, str):
        transport = RingTransport(where, space=space.id if isinstance(space, Space) else space)
    else:
        transport = UdpTransport(*where)
    return await Node(space=space, transport=transport, **node).open()


__all__ = ["connect"]
