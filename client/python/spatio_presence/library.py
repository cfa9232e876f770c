"""A transport through libpresence, for what pure Python has no means for: sessions (docs/sessions.md), in which messages are signed or encrypted, and
large answers that come packed.

    node = await connect("udp://presence.example.org", key="alice.key", engine_key="64 hexadecimal digits", level="encrypt")

This package makes and reads the messages; the library carries them (<presence/message.h>). It holds the keys, opens the session, begins new epochs and
opens another session when the engine has forgotten it; until then what is sent is lost like any datagram. Opening waits in a thread of the event
loop's, everything else is done at once. A session needs libpresence.so.0 where the system looks for libraries, or in PRESENCE_LIBRARY.
"""
from __future__ import annotations

import asyncio
import contextlib
import ctypes
import enum
import os
from collections.abc import Callable
from typing import Any, Final

from . import wire
from .errors import NodeClosed, NoSession

LIBRARY: Final = "libpresence.so.0"
TURN_S: Final = 0.25  # a session looks at its clocks so often
TURN_MESSAGES: Final = 64  # taken before the loop goes on with something else
OPEN_MAX: Final = 60.0  # s
_OK, _BAD_ARGUMENT, _TIMED_OUT, _SYSTEM, _MEMORY = 0, 1, 2, 5, 7


class SessionLevel(enum.IntEnum):
    """What a session's messages are; an engine may demand the second."""

    SIGN = 1  # nobody else can make, alter or repeat one
    ENCRYPT = 2  # nor read it


class SessionOptions(ctypes.Structure):
    """struct presence_session"""

    _fields_ = [("engine_key", ctypes.c_uint8 * 32), ("key_file", ctypes.c_char_p), ("psk_file", ctypes.c_char_p), ("level", ctypes.c_uint8)]


class Options(ctypes.Structure):
    """struct presence_options"""

    _fields_ = [("uri", ctypes.c_char_p), ("host", ctypes.c_char_p), ("port", ctypes.c_uint16), ("timeout_ms", ctypes.c_uint32),
                ("attempts", ctypes.c_uint32), ("incarnation", ctypes.c_uint32), ("buffer_bytes", ctypes.c_uint32),
                ("stream_id", ctypes.c_uint32), ("session", ctypes.POINTER(SessionOptions)), ("pack", ctypes.c_bool),
                ("reserved", ctypes.c_uint64 * 16)]


_Came = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class Library:
    """The functions of libpresence that carry messages; OSError where it is not, or is too old."""

    def __init__(self, path: str | None = None):
        self.path = path or os.environ.get("PRESENCE_LIBRARY") or LIBRARY
        try:
            lib = ctypes.CDLL(self.path, use_errno=True)
            self.open = self._function(lib, "presence_open", ctypes.c_int, ctypes.POINTER(Options), ctypes.POINTER(ctypes.c_void_p),
                                       ctypes.c_char_p, ctypes.c_size_t)
            self.close = self._function(lib, "presence_close", None, ctypes.c_void_p)
            self.descriptor = self._function(lib, "presence_socket", ctypes.c_int, ctypes.c_void_p)
            self.error = self._function(lib, "presence_error", ctypes.c_char_p, ctypes.c_void_p)
            self.send = self._function(lib, "presence_message_send", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
            self.poll = self._function(lib, "presence_message_poll", ctypes.c_int, ctypes.c_void_p, _Came, ctypes.c_void_p, ctypes.c_uint,
                                       ctypes.c_int)
        except (OSError, AttributeError) as fault:
            raise OSError(f"sessions need libpresence: {fault}; install it, or say in PRESENCE_LIBRARY where it lies") from None

    @staticmethod
    def _function(lib: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
        return function


def engine_key_bytes(key: str | bytes) -> bytes:
    """Of the engine's public key, as text or as it is."""
    if isinstance(key, str):
        with contextlib.suppress(ValueError):
            key = bytes.fromhex(key)
    if not isinstance(key, bytes) or len(key) != 32:
        raise ValueError("an engine's public key is 64 hexadecimal digits, as `presencectl keygen` prints it")
    return key


def level_of(level: SessionLevel | str | int) -> SessionLevel:
    try:
        return SessionLevel[level.upper()] if isinstance(level, str) else SessionLevel(level)
    except (KeyError, ValueError):
        raise ValueError(f"{level!r}: a session's level is sign or encrypt") from None


class LibraryTransport:
    """uri: udp://host:port or shm:///path. key: the file with this principal's secret key, for its owner only; None: there is no session. engine_key: the
    engine's public key. psk: the file of the pre-shared key, where the keyring has one. pack: large answers may come packed. timeout: seconds
    to wait for the session; `NoSession` then. library: libpresence's path."""

    bytes_max = wire.UNPACKED_MAX  # of a message that is handed on

    def __init__(self, uri: str, *, key: str | os.PathLike[str] | None = None, engine_key: str | bytes | None = None,
                 psk: str | os.PathLike[str] | None = None, level: SessionLevel | str | int = SessionLevel.SIGN, pack: bool = False, timeout: float = 5.0,
                 buffer_bytes: int = 0, library: str | None = None):
        if (key is None) != (engine_key is None):
            raise ValueError("a session needs both keys: the file of one's own, and the engine's public one")
        if key is None and psk is not None:
            raise ValueError("a pre-shared key belongs to a session: it needs a key, and the engine's")
        if not 0 < timeout <= OPEN_MAX or not 0 <= buffer_bytes < 1 << 31:
            raise ValueError("timeout 0–60 s, buffer_bytes below 2 GiB")
        if "\0" in uri:
            raise ValueError("a URI without zeros")
        self.uri = self.where = uri
        self.pack, self.timeout, self.buffer_bytes = pack, timeout, buffer_bytes
        self.key = os.fsencode(key) if key is not None else None
        self.psk = os.fsencode(psk) if psk is not None else None
        self.engine_key = engine_key_bytes(engine_key) if engine_key is not None else bytes(32)
        self.level = level_of(level)
        self._path = library
        self._library: Library | None = None
        self._client: ctypes.c_void_p | None = None
        self._descriptor = -1
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._received: Callable[[bytes], object] | None = None
        self._messages: list[bytes] = []
        self._came = _Came(self._take_one)

    # ---- its life ----------------------------------------------------------------------------

    async def open(self, received: Callable[[bytes], object]) -> None:
        """`NoSession` where the engine opens none; ValueError of a key or a URI that is none, OSError where the system refuses."""
        library = self._library = Library(self._path)
        loop = self._loop = asyncio.get_running_loop()
        opening = loop.run_in_executor(None, self._open, library)
        try:
            client = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # What the thread comes back with is nobody's.
            opening.add_done_callback(lambda done: None if done.cancelled() or done.exception() else library.close(done.result()))
            raise
        self._client, self._received = client, received
        self._descriptor = library.descriptor(client)
        loop.add_reader(self._descriptor, self._turn)
        self._timer = loop.call_later(TURN_S, self._tick)

    def _open(self, library: Library) -> ctypes.c_void_p:
        """In a thread."""
        session = SessionOptions((ctypes.c_uint8 * 32)(*self.engine_key), self.key, self.psk, self.level)
        options = Options(uri=self.uri.encode(), pack=self.pack, buffer_bytes=self.buffer_bytes, attempts=1,
                          timeout_ms=max(1, round(self.timeout * 1000)))
        if self.key is not None:
            options.session = ctypes.pointer(session)
        client, error = ctypes.c_void_p(), ctypes.create_string_buffer(512)
        result: int = library.open(ctypes.byref(options), ctypes.byref(client), error, len(error))
        if result == _OK:
            return client
        text = error.value.decode(errors="replace")
        if result == _TIMED_OUT:
            raise NoSession(text)
        if result == _BAD_ARGUMENT:
            raise ValueError(text)
        if result == _MEMORY:
            raise MemoryError(text or "no memory for a client")
        raise OSError(ctypes.get_errno(), text)

    def close(self) -> None:
        self._received = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._client is not None:
            assert self._loop is not None and self._library is not None
            self._loop.remove_reader(self._descriptor)
            self._library.close(self._client)
            self._client = None

    # ---- messages ----------------------------------------------------------------------------

    def send(self, message: bytes) -> bool:
        if self._client is None or self._library is None:
            raise NodeClosed("the transport is closed")
        result: int = self._library.send(self._client, message, len(message))
        if result == _BAD_ARGUMENT:
            raise ValueError(self._library.error(self._client).decode(errors="replace"))
        # No room, no session yet, or a system that refuses: it is lost, and whoever waits asks again.
        return result == _OK

    def _take_one(self, context: int | None, message: int, size: int) -> None:
        self._messages.append(ctypes.string_at(message, size))

    def _turn(self) -> None:
        """What has come, and what the session's clocks ask for."""
        if self._client is None or self._library is None or self._loop is None:
            return
        taken: int = self._library.poll(self._client, self._came, None, TURN_MESSAGES, 0)
        messages, self._messages = self._messages, []
        if taken >= TURN_MESSAGES:
            self._loop.call_soon(self._turn)
        else:
            self._library.descriptor(self._client)  # from now on it is woken again
        # What is called may send, and may close.
        for message in messages:
            if self._received is not None:
                self._received(message)

    def _tick(self) -> None:
        self._turn()
        if self._client is not None and self._loop is not None:
            self._timer = self._loop.call_later(TURN_S, self._tick)


__all__ = ["SessionLevel", "LibraryTransport"]
