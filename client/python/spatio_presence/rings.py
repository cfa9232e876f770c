"""A transport through memory that is shared with an engine on the same machine (docs/rings.md): `Node(transport=RingTransport(path))`.

Pure Python, and so not fast; it is for programs that stand beside an engine which listens on no network. The ring is attached again by itself
when the engine ends and another one listens: what lay in it then is lost, like datagrams. What the other side writes is looked at once and
copied before it is read; what no engine may write ends the ring.

A number of eight bytes in its place is read and written at once, as x86-64 does and as CPython asks of it; stores keep their order there. Where
the ring needs a full fence, a lock is taken and given back.
"""
from __future__ import annotations

import asyncio
import mmap
import os
import select
import socket
import struct
import threading
from collections.abc import Callable
from typing import Final
from uuid import UUID

from .errors import NodeClosed
from .wire import BYTES_MAX, NIL

MAGIC: Final = 0x52534550
RECORD_LINE, PAGE = 64, 4096
RING_MIN, RING_MAX = 16384, 64 << 20
WRAP: Final = 0xFFFFFFFF
ATTACH_TIMEOUT: Final = 2.0  # s, for the engine to answer a hello
REATTACH_MIN, REATTACH_MAX = 0.02, 1.0  # s, between two attempts to find an engine
TURN: Final = 64  # messages taken before the loop goes on with something else
_ONE = struct.pack("<Q", 1)
_HELLO = struct.Struct("<IHHII16s16s")
_WELCOME = struct.Struct("<IHBBQIIQ16s")
_WELCOME_2 = 64  # bytes from version 2 on: who the engine takes this user for follows
VERSION_MIN, VERSION = 1, 2
_PAGE = struct.Struct("<IHHQIIQQ")
_UP_HEAD, _UP_ASLEEP, _DOWN_HEAD, _DOWN_ASLEEP = 128 // 8, 192 // 4, 256 // 8, 320 // 4
_ANSWERS: Final = ("welcome", "the engine does not understand the greeting", "the engine speaks another version of rings", "no ring has such a size",
                   "the engine has no such space", "this user is not admitted: allow_uids or allow_gids of the engine's ring source",
                   "as many clients as the engine allows", "the engine has no memory for another ring")


class _Broken(Exception):
    """The other side wrote what it may not."""


def _record_bytes(message_bytes: int) -> int:
    return (message_bytes + 8 + RECORD_LINE - 1) // RECORD_LINE * RECORD_LINE


def _word(position: int, size: int) -> int:
    return (position // RECORD_LINE + 1 & 0xFFFFFFFF) << 32 | size


class Ring:
    """Both rings of one attachment, from the client's side."""

    def __init__(self, memory: mmap.mmap, up_bytes: int, down_bytes: int):
        self.memory = memory
        view = memoryview(memory)
        self.bytes, self.longs, self.words = view, view.cast("Q"), view.cast("I")
        self.up, self.up_bytes = PAGE, up_bytes
        self.down, self.down_bytes = PAGE + up_bytes, down_bytes
        self.tail = self.seen = 0  # where the next message goes; up to where the engine has taken them
        self.head = 0  # where the next one is looked for
        self._lock = threading.Lock()

    def close(self) -> None:
        for view in (self.longs, self.words, self.bytes):
            view.release()
        self.memory.close()

    def fence(self) -> None:
        with self._lock:
            pass

    # ---- to the engine -----------------------------------------------------------------------

    def put(self, message: bytes) -> bool:
        """Publishes; False: no room now."""
        need = _record_bytes(len(message))
        rest = self.up_bytes - self.tail % self.up_bytes
        wrap = rest if rest < need else 0
        if not self._room(wrap + need):
            return False
        if wrap:
            self._publish(WRAP, wrap)
        at = self.up + self.tail % self.up_bytes
        self.bytes[at + 8:at + 8 + len(message)] = message
        self._publish(len(message), need)
        return True

    def _room(self, need: int) -> bool:
        if self.up_bytes - (self.tail - self.seen) >= need + RECORD_LINE:
            return True
        seen = self.longs[_UP_HEAD]
        if not self.seen <= seen <= self.tail or seen % RECORD_LINE:
            raise _Broken
        self.seen = seen
        return self.up_bytes - (self.tail - seen) >= need + RECORD_LINE

    def _publish(self, size: int, need: int) -> None:
        """The word behind is 0 before this one shows."""
        following = self.tail + need
        self.longs[(self.up + following % self.up_bytes) // 8] = 0
        self.longs[(self.up + self.tail % self.up_bytes) // 8] = _word(self.tail, size)
        self.tail = following

    def rouse(self) -> bool:
        """Whether the engine sleeps; then it is to be woken. Saying so once too often does no harm."""
        self.fence()
        if not self.words[_UP_ASLEEP]:
            return False
        self.words[_UP_ASLEEP] = 0
        return True

    # ---- from the engine ---------------------------------------------------------------------

    def take(self) -> bytes | None:
        while True:
            at = self.head % self.down_bytes
            word = self.longs[(self.down + at) // 8]
            size = word & 0xFFFFFFFF
            if not word:
                return None
            if word != _word(self.head, size):
                raise _Broken
            if size == WRAP and at:
                self.head += self.down_bytes - at
                continue
            if not 1 <= size <= BYTES_MAX or _record_bytes(size) > self.down_bytes - at:
                raise _Broken
            begin = self.down + at + 8
            message = bytes(self.bytes[begin:begin + size])
            self.head += _record_bytes(size)
            return message

    def release(self) -> None:
        self.longs[_DOWN_HEAD] = self.head

    def arise(self) -> None:
        self.words[_DOWN_ASLEEP] = 0

    def drowse(self) -> bool:
        """Before the loop waits; False: something is there."""
        self.words[_DOWN_ASLEEP] = 1
        self.fence()
        return not self.longs[(self.down + self.head % self.down_bytes) // 8]


class RingTransport:
    """path: of the engine's ring source. ring_bytes: wished size of each ring, 0 = as the engine likes. space: which one the client is about to use."""

    def __init__(self, path: str, *, ring_bytes: int = 0, space: UUID | None = None):
        self.path, self.ring_bytes, self.space = path, ring_bytes, space
        self.attached = 0  # times
        self._ring: Ring | None = None
        self._socket: socket.socket | None = None
        self._event = -1  # wakes the engine
        self._wake: select.epoll | None = None  # what the engine wakes this client with; None: bytes on the socket, as version 1 does
        self.where = f"shm://{path}"
        self.known_as: UUID | None = None  # the principal that this user is by the engine's keyring
        self._received: Callable[[bytes], object] | None = None
        self._again: asyncio.Task[None] | None = None
        self._ended = False  # the socket: what the engine said before is still there

    async def open(self, received: Callable[[bytes], object]) -> None:
        self._received = received
        await self._attach()

    def send(self, message: bytes) -> bool:
        if self._received is None:
            raise NodeClosed("the transport is closed")
        if self._ring is None:
            return False
        try:
            taken = self._ring.put(message)
        except _Broken:
            self._lose()
            return False
        if self._ring.rouse():
            os.write(self._event, _ONE)
        return taken

    def close(self) -> None:
        self._received = None
        if self._again is not None:
            self._again.cancel()
        self._detach()

    # ---- attaching ---------------------------------------------------------------------------

    async def _attach(self) -> None:
        """OSError says why not."""
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fds: list[int] = []
        try:
            sock.setblocking(False)
            async with asyncio.timeout(ATTACH_TIMEOUT):
                while True:
                    try:
                        sock.connect(self.path)
                        break
                    except BlockingIOError:  # many are before the door
                        await asyncio.sleep(0.001)
                    except OSError as fault:
                        raise type(fault)(fault.errno, f"{fault.strerror}; is presenced running, with a ring source at this path?", self.path) from None
                space = self.space.bytes if self.space is not None else NIL
                try:
                    sock.send(_HELLO.pack(MAGIC, VERSION_MIN, VERSION, self.ring_bytes, self.ring_bytes, space, bytes(16)))
                except BrokenPipeError:
                    pass  # refused before it was heard: the answer is there
                came = asyncio.Event()
                loop.add_reader(sock, came.set)
                try:
                    await came.wait()
                finally:
                    loop.remove_reader(sock)
            try:
                data, fds, _, _ = socket.recv_fds(sock, _WELCOME_2 + 1, 3)
            except ConnectionResetError:
                data, fds, _, _ = socket.recv_fds(sock, _WELCOME_2 + 1, 3)
            self._ring = self._join(data, fds)
            self._wake = select.epoll.fromfd(fds.pop()) if len(fds) == 3 else None
            if self._wake is not None:
                self._wake.poll(0)  # or it is none
            self._event = fds.pop()
        except TimeoutError:
            sock.close()
            raise ConnectionError(f"{self.path}: the engine does not answer") from None
        except BaseException:
            sock.close()
            self._detach()
            raise
        finally:
            for fd in fds:
                os.close(fd)
        self._socket, self._ended = sock, False
        self.attached += 1
        who = data[_WELCOME.size:]
        self.known_as = UUID(bytes=who) if any(who) else None
        loop.add_reader(sock, self._awake)
        if self._wake is not None:
            loop.add_reader(self._wake, self._woken)
        loop.call_soon(self._take)

    def _join(self, data: bytes, fds: list[int]) -> Ring:
        if len(data) not in (_WELCOME.size, _WELCOME_2):
            raise ConnectionError(f"{self.path}: " + ("what listens there is no presence engine" if data else "the engine closed the connection"))
        magic, version, answer, _, epoch, up_bytes, down_bytes, memory_bytes, _ = _WELCOME.unpack_from(data)
        if magic != MAGIC:
            raise ConnectionError(f"{self.path}: what listens there is no presence engine")
        if answer:
            kind = PermissionError if answer == 5 else ConnectionError
            raise kind(f"{self.path}: {_ANSWERS[answer] if answer < len(_ANSWERS) else 'refused'}")
        sound = VERSION_MIN <= version <= VERSION and len(fds) == version + 1 and len(data) == (_WELCOME.size, _WELCOME_2)[version - 1] and memory_bytes == PAGE + up_bytes + down_bytes and \
            all(RING_MIN <= n <= RING_MAX and n & (n - 1) == 0 for n in (up_bytes, down_bytes)) and os.fstat(fds[0]).st_size == memory_bytes
        if not sound:
            raise ConnectionError(f"{self.path}: the ring that was offered is not sound")
        memory = mmap.mmap(fds[0], memory_bytes)
        page = _PAGE.unpack_from(memory)
        if page != (MAGIC, version, RECORD_LINE, epoch, up_bytes, down_bytes, PAGE, PAGE + up_bytes):
            memory.close()
            raise ConnectionError(f"{self.path}: the ring that was offered is not sound")
        return Ring(memory, up_bytes, down_bytes)

    def _detach(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        if self._wake is not None:
            asyncio.get_running_loop().remove_reader(self._wake)
            self._wake.close()
            self._wake = None
        if self._event >= 0:
            os.close(self._event)
            self._event = -1
        if self._ring is not None:
            self._ring.close()
            self._ring = None

    def _lose(self) -> None:
        """The ring is over; the next one is looked for."""
        self._detach()
        if self._received is not None and (self._again is None or self._again.done()):
            self._again = asyncio.get_running_loop().create_task(self._attach_again())

    async def _attach_again(self) -> None:
        pause = REATTACH_MIN
        while True:
            await asyncio.sleep(pause)
            try:
                await self._attach()
                return
            except OSError:
                pause = min(2 * pause, REATTACH_MAX)

    # ---- reading -----------------------------------------------------------------------------

    def _awake(self) -> None:
        assert self._socket is not None
        for _ in range(TURN):
            try:
                data = self._socket.recv(256)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                data = b""
            if not data:
                # The engine ended, or let this client go.
                asyncio.get_running_loop().remove_reader(self._socket)
                self._ended = True
                break
        self._take()

    def _woken(self) -> None:
        assert self._wake is not None
        self._wake.poll(0)
        self._take()

    def _take(self) -> None:
        ring, messages = self._ring, list[bytes]()
        if ring is None:
            return
        ring.arise()
        broken = False
        try:
            while len(messages) < TURN:
                message = ring.take()
                if message is None:
                    break
                messages.append(message)
        except _Broken:
            broken = True
        ring.release()
        # What is called may send, and may close.
        again = not broken and (len(messages) == TURN or not ring.drowse())
        if broken or self._ended and not again:
            self._lose()
        elif again:
            ring.arise()
            asyncio.get_running_loop().call_soon(self._take)
        for message in messages:
            if self._received is not None:
                self._received(message)
