"""How messages come to an engine and back. A node needs no more of a transport than this protocol class says; `UdpTransport` is the plainest one. One that
unpacks what came packed says in an attribute `bytes_max` how long a message may be that it hands on; `where` and `unreachable`, if it has them, are told in
errors."""
from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from .errors import NodeClosed
from .wire import PORT


class Transport(Protocol):
    """Messages may be lost, repeated and reordered on the way. All calls and callbacks are of the event loop's thread."""

    async def open(self, received: Callable[[bytes], object]) -> None:
        """Makes ready; `received` is called with each message that comes, until `close`. OSError where the system refuses."""

    def send(self, message: bytes) -> bool:
        """Never waits. False: there is no room, and the message is lost like one on the way."""

    def close(self) -> None:
        """Ends it; may be called again."""


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes], object]):
        self.received, self.unreachable = received, 0

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.received(data)

    def error_received(self, exc: Exception) -> None:
        # Nobody listens there now: like a lost message. Whoever waits asks again.
        self.unreachable += 1


class UdpTransport:
    """One connected UDP socket, so that the system takes what comes from the engine's address and from nobody else.

    sock: a connected socket of the caller's, in place of host and port. buffer_bytes: wished size of the socket's buffers; the system may
    give less.
    """

    SEND_MAX = 1 << 18  # bytes that may wait for the socket

    def __init__(self, host: str = "127.0.0.1", port: int = PORT, *, sock: socket.socket | None = None, buffer_bytes: int = 4 << 20):
        self.host, self.port, self.sock, self.buffer_bytes = host, port, sock, buffer_bytes
        self.where = f"udp://[{host}]:{port}" if ":" in host else f"udp://{host}:{port}"
        self._transport: asyncio.DatagramTransport | None = None
        self._protocol: _Protocol | None = None

    async def open(self, received: Callable[[bytes], object]) -> None:
        loop = asyncio.get_running_loop()

        def make() -> _Protocol:
            return _Protocol(received)

        if self.sock is not None:
            transport, protocol = await loop.create_datagram_endpoint(make, sock=self.sock)
        else:
            try:
                transport, protocol = await loop.create_datagram_endpoint(make, remote_addr=(self.host, self.port))
            except socket.gaierror as fault:
                raise socket.gaierror(fault.errno, f"{self.host}: {fault.strerror}; name a host that `getent hosts` knows, or an address") from None
        self._transport, self._protocol = transport, protocol
        raw = self._transport.get_extra_info("socket")
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            raw.setsockopt(socket.SOL_SOCKET, option, self.buffer_bytes)

    def send(self, message: bytes) -> bool:
        if self._transport is None or self._transport.is_closing():
            raise NodeClosed("the transport is closed")
        waiting = getattr(self._transport, "get_write_buffer_size", None)
        if waiting is not None and waiting() > self.SEND_MAX:
            return False
        self._transport.sendto(message)
        return True

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    @property
    def unreachable(self) -> int:
        """How often the engine's machine said that nobody listens there."""
        return self._protocol.unreachable if self._protocol is not None else 0
