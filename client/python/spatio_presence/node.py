"""A node: one client of one engine, with a place and a space of its own.

    async with Node("127.0.0.1", space=WORLD, position=(60.167, 24.962)) as node:
        await node.broadcast_presence(PresenceEntity(...))
        results = await node.query_presence(PresenceQuery(spatial_bounds=Sphere(node.position, 500)))

Every wait is bounded: a request is sent `attempts` times, `timeout` seconds apart, and then is `NoAnswer`. What is kept is bounded too: at most
`in_flight` requests are under way, whoever asks for more waits for them. What answers nothing that is waited for is counted and left aside.
A node belongs to one event loop.
"""
from __future__ import annotations

import asyncio
import enum
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from . import replies, wire
from .entities import CoordinateSystem, Duration, Place, PresenceEntity, Space, SpatialAddress, named
from .errors import Incomplete, NoAnswer, NodeClosed, PresenceError, Refused, refused
from .names import COUNTERS
from .queries import (RESULTS_MAX, Cell, Explanation, FoundEntity, PresenceQuery, PresenceResults, SubscriptionConfig, cell_of,
                      explanation_of, found_of, short_of)
from .replies import Malformed, Reply
from .transport import Transport, UdpTransport
from .volumes import NEAREST

if TYPE_CHECKING:
    from .watch import Fence, Watch

PAGE = 1024  # results asked for at once: their messages fit a socket's usual buffer
PAGES_MAX = 256  # of one query
PARTS_MAX = 1024  # of one answer; an engine needs 205
CATCH_UP_MAX = 1024  # messages that are read before a time-out counts
_STALE = 38
_Answer = TypeVar("_Answer")


class Acknowledgement:
    """That an update or a withdrawal was taken. status: "applied" (the next query sees it), "accepted" (on its way) or "coalesced" (a newer state,
    a threshold or the frequency covers it). silence_ms: how long the sender may stay silent, 0 = not stated. repeated: an earlier sending
    had arrived, and its acknowledgement was lost."""

    __slots__ = ("entity_id", "status", "silence_ms", "repeated")

    def __init__(self, entity_id: UUID, status: str, silence_ms: int = 0, repeated: bool = False):
        self.entity_id, self.status, self.silence_ms, self.repeated = entity_id, status, silence_ms, repeated

    def __repr__(self) -> str:
        return f"<Acknowledgement of {self.entity_id}: {self.status}>"


class ErasedPlace(enum.IntFlag):
    """From where an entity went when it was erased."""

    RECORD = 1  # it was there
    TOMBSTONE = 2  # it was gone, but remembered
    DETAILS = 4  # what it said beside its state
    WAITING = 8  # a newer state that was held back or waited
    FENCES = 16  # it was inside of fences
    FRAMES = 32  # it was in another entity's frame, or others in its own
    QUARANTINE = 64  # a jump that was not believed


@dataclass(frozen=True, slots=True)
class Erasure:
    """That an entity was erased. status: "applied", or "accepted": its owner on the engine does it, and tells nobody from where. repeated: an answer
    was lost, so that an earlier sending may have done it."""

    entity_id: UUID
    status: str
    where: ErasedPlace = ErasedPlace(0)
    repeated: bool = False


@dataclass(slots=True)
class Traffic:
    """What a node has counted since it was opened."""

    sent: int = 0
    received: int = 0
    malformed: int = 0  # messages that were not sound
    unexpected: int = 0  # sound ones that answer nothing that is waited for
    retries: int = 0
    unsent: int = 0  # the system had no room


class _Pending:
    """A request that is waited for. take: whether a reply answers it; done is set when it is answered whole."""

    def __init__(self, kind: int, take: Callable[[Reply], bool]):
        self.kind, self.take = kind, take
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class Node:
    def __init__(self, host: str = "127.0.0.1", port: int = wire.PORT, *, space: Space | UUID | None = None, position: Place | None = None,
                 timeout: float = 0.25, attempts: int = 4, in_flight: int = 64, incarnation: int | None = None,
                 transport: Transport | None = None):
        """space: the one that it is in; a UUID is that of a CARTESIAN one, None the engine's first. position: where it is, and
        whatever it broadcasts without an address. incarnation: its start, Unix seconds, by which an engine orders what its lives say."""
        if not 0 < timeout <= 60 or not 1 <= attempts <= 16 or not 1 <= in_flight <= 4096:
            raise ValueError("timeout 0–60 s, attempts 1–16, in_flight 1–4096")
        self.space = space if isinstance(space, Space) else Space(space)
        self.position = position
        self.timeout, self.attempts = timeout, attempts
        self.incarnation = int(time.time()) if incarnation is None else incarnation
        self.traffic = Traffic()
        self.transport: Transport = transport if transport is not None else UdpTransport(host, port)
        # A transport that unpacks answers says how long they may be.
        self._bytes_max: int = getattr(self.transport, "bytes_max", wire.BYTES_MAX)
        self.stream_id = int.from_bytes(os.urandom(4), "little")
        self._key = os.urandom(8)
        self._message = 0  # number of the last message
        self._record = 0  # of the last update or withdrawal, of whatever entity
        self._pending: dict[int, _Pending] = {}
        self._room = asyncio.Semaphore(in_flight)
        self._watches: dict[tuple[int, int], Watch] = {}
        self._watch_epoch = 0
        self._watch_id = self.stream_id | 1
        self._open = False
        self._loop: asyncio.AbstractEventLoop | None = None  # in which it was opened

    # ---- its life ----------------------------------------------------------------------------

    async def open(self) -> Node:
        if not self._open:
            await self.transport.open(self._received)
            self._loop, self._open = asyncio.get_running_loop(), True
        return self

    async def close(self) -> None:
        """Ends its watches, and what waits for an answer with `NodeClosed`. What it broadcast stays until its ttl."""
        if not self._open:
            return
        try:
            await asyncio.gather(*(watch.close() for watch in list(self._watches.values())))
        finally:  # cancelled too: an engine that is gone does not answer
            self._open = False
            self.transport.close()
            for pending in list(self._pending.values()):
                if not pending.done.done():
                    pending.done.set_exception(NodeClosed("the node was closed"))

    async def __aenter__(self) -> Node:
        return await self.open()

    async def __aexit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    # ---- what comes and goes -----------------------------------------------------------------

    def _received(self, data: bytes) -> None:
        self.traffic.received += 1
        try:
            reply = replies.decode(data, self._bytes_max)
        except Malformed:
            self.traffic.malformed += 1
            return
        if not self._dispatch(reply):
            self.traffic.unexpected += 1

    def _dispatch(self, reply: Reply) -> bool:
        if isinstance(reply, replies.Response):
            ours = False
            for answer in reply.answers:
                pending = self._pending.get(answer.request_sequence)
                if pending is not None and pending.kind == wire.QUERY and answer.stream_id == self.stream_id:
                    ours |= pending.take(reply._replace(answers=[answer]))
            return ours
        if isinstance(reply, replies.State):
            request = reply.request_sequence
        elif reply.header.stream_id != self.stream_id:
            return False
        elif isinstance(reply, replies.Notice):
            watch = self._watches.get((reply.subscription_id, reply.epoch))
            return watch is not None and watch.take_notice(reply)
        elif isinstance(reply, replies.Pong):
            request = int.from_bytes(reply.opaque[8:], "little")
        else:
            request = reply.request_sequence
        ours = False
        if isinstance(reply, replies.Subscribed):
            watch = self._watches.get((reply.subscription_id, reply.epoch))
            if watch is not None:
                ours = watch.take_answer(reply)
        pending = self._pending.get(request)
        return pending is not None and pending.kind == _asked(reply) and pending.take(reply) or ours

    def header(self, kind: int, items: int, flags: int = 0) -> wire.Header:
        """Of the next message."""
        self._message += 1
        space = self.space.id.bytes if self.space.id is not None else wire.NIL
        return wire.Header(kind, flags, self.stream_id, self._message, int(time.time() * 1000), 0, items, space)

    def send(self, message: bytes) -> None:
        """Once, like any datagram."""
        if not self._open:
            raise NodeClosed("the node is not open: async with Node(…) as node")
        if self.transport.send(message):
            self.traffic.sent += 1
        else:
            self.traffic.unsent += 1

    def check_loop(self) -> None:
        """Another loop would wait for what comes to the node's own."""
        if self._open and asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("the node belongs to the event loop in which it was opened")

    async def exchange(self, build: Callable[[], tuple[int, bytes]], pending: _Pending, *, same: bool = True) -> int:
        """Sends what build makes until it is answered; the attempts it took. same: repeats are the same bytes, else each is built anew and
        answers to those before count no more."""
        self.check_loop()
        async with self._room:
            unreachable = self._unreachable()
            sequence, message = build()
            for attempt in range(1, self.attempts + 1):
                if attempt > 1:
                    self.traffic.retries += 1
                    if not same:
                        sequence, message = build()
                self._pending[sequence] = pending
                try:
                    self.send(message)
                    await asyncio.wait((pending.done,), timeout=self.timeout)
                    if not pending.done.done():
                        await self._catch_up(pending)
                finally:
                    del self._pending[sequence]
                if pending.done.done():
                    pending.done.result()
                    return attempt
        mends = ("nobody listens there; start presenced, or name the host and port that it has in `sources`" if self._unreachable() > unreachable else
                 "see that presenced runs there, and that its `admitted` names this machine's address")
        raise NoAnswer(f"no answer from {getattr(self.transport, 'where', 'the engine')} to {self.attempts} attempts: {mends}")

    def _unreachable(self) -> int:
        """How often the system said that nobody listens there, where the transport knows."""
        told: int = getattr(self.transport, "unreachable", 0)
        return told

    async def _catch_up(self, pending: _Pending) -> None:
        """A loop that was kept busy reads what has come meanwhile, a datagram a turn, before a time-out counts."""
        for _ in range(CATCH_UP_MAX):
            before = self.traffic.received
            await asyncio.sleep(0)
            if pending.done.done() or self.traffic.received == before:
                break

    # ---- presence ----------------------------------------------------------------------------

    def address_of(self, entity: PresenceEntity) -> SpatialAddress:
        if entity.spatial_address is not None:
            return entity.spatial_address
        if self.position is None:
            raise ValueError("neither the entity nor the node has a place")
        return SpatialAddress(self.position)

    def _next_record(self) -> int:
        if self._record == 0xFFFFFFFF:
            # After four thousand million records: a new life.
            self.incarnation, self._record = max(self.incarnation + 1, int(time.time())), 0
        self._record += 1
        return self._record

    def go_on_from(self, incarnation: int, sequence: int) -> None:
        """Makes what is broadcast from now on newer than this, which a `VersionConflict` told: of an earlier life of this sender whose clock was
        ahead, or of another one of the same entity."""
        if incarnation > self.incarnation:
            self.incarnation, self._record = incarnation, sequence
        elif incarnation == self.incarnation:
            self._record = max(self._record, sequence)

    async def broadcast_presence(self, presence: PresenceEntity, *, ttl: Duration | None = None, payload: bytes | None = None,
                                 relocation: bool = False) -> Acknowledgement:
        """Says who is where, and waits until an engine has taken it; raises why not. ttl: after so long without another broadcast it is gone;
        None: the space's default. payload: told to watchers, not kept. relocation: a STATIC entity was moved on purpose."""
        address = self.address_of(presence)
        blocks = presence.blocks(address, payload)
        now_ms, sequence = int(time.time() * 1000), self._next_record()
        record = presence.record(address, self.space.coordinates, sequence=sequence, now_ms=now_ms, ttl=ttl, relocation=relocation)
        if blocks:
            told = await self._tell(wire.DETAILED, [wire.detailed(record, blocks)], [presence.entity_id], [sequence], now_ms)
        else:
            told = await self._tell(wire.UPDATE, [record], [presence.entity_id], [sequence], now_ms)
        if isinstance(told[0], Refused):
            raise told[0]
        return told[0]

    async def broadcast_all(self, entities: Sequence[PresenceEntity], *, ttl: Duration | None = None) -> list[Acknowledgement | PresenceError]:
        """The same for many, each there once, 16 a message; of each in turn what came of it. Those with details go one by one."""
        results: dict[int, Acknowledgement | PresenceError] = {}
        plain: list[int] = []
        rest: list[int] = []
        now_ms = int(time.time() * 1000)
        if self._record + len(entities) > 0xFFFFFFFF:
            self._record = 0xFFFFFFFF  # one life for all of them
        sequences: list[int] = []
        records: list[bytes] = []
        # All are made before one is sent: what cannot be said is no half of a crowd.
        for n, entity in enumerate(entities):
            address = self.address_of(entity)
            blocks = entity.blocks(address, None)
            sequences.append(self._next_record())
            record = entity.record(address, self.space.coordinates, sequence=sequences[n], now_ms=now_ms, ttl=ttl)
            records.append(wire.detailed(record, blocks) if blocks else record)
            (rest if blocks else plain).append(n)

        async def packet(kind: int, numbers: Sequence[int]) -> None:
            try:
                told: Sequence[Acknowledgement | PresenceError] = await self._tell(
                    kind, [records[n] for n in numbers], [entities[n].entity_id for n in numbers], [sequences[n] for n in numbers], now_ms)
            except PresenceError as fault:
                told = [fault] * len(numbers)
            results.update(zip(numbers, told))

        jobs = [packet(wire.UPDATE, plain[at:at + wire.UPDATES_MAX]) for at in range(0, len(plain), wire.UPDATES_MAX)]
        await asyncio.gather(*jobs, *(packet(wire.DETAILED, [n]) for n in rest))
        return [results[n] for n in range(len(entities))]

    async def withdraw_presence(self, presence: PresenceEntity | UUID) -> Acknowledgement:
        """Takes an entity away at once."""
        entity_id = named(getattr(presence, "entity_id", presence))
        sequence = self._next_record()
        told = await self._tell(wire.WITHDRAW, [wire.withdrawal(entity_id.bytes, sequence)], [entity_id], [sequence], int(time.time() * 1000))
        if isinstance(told[0], Refused):
            raise told[0]
        return told[0]

    async def erase_presence(self, presence: PresenceEntity | UUID, *, incarnation: int = 0) -> Erasure:
        """Takes an entity away for good, with what the engine remembers of it: for its owner, an administrator, or a trusted source in an open space.
        incarnation: lives up to that one cannot bring it back by what is still under way; 0: the one that is known."""
        entity_id = named(getattr(presence, "entity_id", presence))
        if entity_id.int == 0:
            raise ValueError("the nil id names no entity")
        body, taken = wire.erase_body(entity_id.bytes, incarnation), list[replies.Erased]()

        def build() -> tuple[int, bytes]:
            header = self.header(wire.ERASE, 1)
            return header.sequence, wire.message(header, body)

        def take(reply: Reply) -> bool:
            if not isinstance(reply, replies.Erased) or taken or reply.entity_id != entity_id.bytes:
                return False
            taken.append(reply)
            pending.finish()
            return True

        pending = _Pending(wire.ERASE, take)
        attempts = await self.exchange(build, pending)
        told = taken[0]
        if told.code:
            raise refused(told.code, told.reason, entity_id=entity_id, dropped=told.status == replies.DROPPED)
        return Erasure(entity_id, ("applied", "accepted")[told.status], ErasedPlace(told.where), attempts > 1)

    async def _tell(self, kind: int, records: Sequence[bytes], ids: Sequence[UUID], sequences: Sequence[int],
                    now_ms: int) -> list[Acknowledgement | Refused]:
        """One message of records and its acknowledgement; raises what is of the message as a whole."""
        incarnation, taken = self.incarnation, list[replies.Ack]()

        def build() -> tuple[int, bytes]:
            header = self.header(kind, len(records), wire.FLAG_ACK)._replace(timestamp=now_ms)
            return header.sequence, wire.message(header, wire.updates_body(self._broadcast(header.sequence), incarnation, records))

        def take(reply: Reply) -> bool:
            if not isinstance(reply, replies.Ack) or reply.broadcast_id != self._broadcast(reply.request_sequence) or \
                    (reply.code == 0 and len(reply.records) != len(records)) or taken:
                return False
            taken.append(reply)
            pending.finish()
            return True

        pending = _Pending(kind, take)
        attempts = await self.exchange(build, pending)
        ack = taken[0]
        if ack.code:
            raise refused(ack.code, ack.reason)
        return [self._fate(record, entity, sequence, incarnation, attempts) for record, entity, sequence in zip(ack.records, ids, sequences)]

    @staticmethod
    def _fate(record: replies.AckRecord, entity: UUID, sequence: int, incarnation: int, attempts: int) -> Acknowledgement | Refused:
        if record.status <= replies.COALESCED:
            return Acknowledgement(entity, ("applied", "accepted", "coalesced")[record.status], record.silence)
        if attempts > 1 and record.reason == _STALE and (record.known_incarnation, record.known_sequence) == (incarnation, sequence):
            # An earlier sending had arrived, and its acknowledgement was lost.
            return Acknowledgement(entity, "accepted", repeated=True)
        return refused(record.code, record.reason, entity_id=entity, known_incarnation=record.known_incarnation,
                       known_sequence=record.known_sequence, dropped=record.status == replies.DROPPED)

    def _broadcast(self, sequence: int) -> bytes:
        return self._key + sequence.to_bytes(8, "little")

    # ---- discovery ---------------------------------------------------------------------------

    async def query_presence(self, query: PresenceQuery) -> PresenceResults:
        """Who is there. Follows an engine's pages to the end, to the query's max_results, or to 65,536; an entity that moved between two
        pages comes once, as it was met last."""
        if query.subscription is not None:
            raise ValueError("a query with a subscription stands: async for event in node.watch(query)")
        found: dict[UUID, FoundEntity] = {}
        cells: dict[tuple[float, ...], Cell] = {}
        cursor: tuple[int, int] | None = None
        most = min(query.max_results or RESULTS_MAX, RESULTS_MAX)
        for pages in range(1, PAGES_MAX + 1):
            room = most - len(found) - len(cells)
            page = await self._page(query, min(room, PAGE), cursor)
            found.update((e.entity_id, e) for e in page.found)
            for cell in page.cells:
                _add_cell(cells, cell)
            over = len(found) + len(cells) >= most
            # A cursor that does not move would be followed in a circle; the nearest have none.
            stuck = page.cursor == (cursor or (0, 0)) and not page.found and not page.cells
            if not page.truncated or over or stuck or query.nearest:
                break
            cursor = page.cursor
        return PresenceResults(list(found.values())[:most], list(cells.values())[:most], page.truncated, pages)

    async def _page(self, query: PresenceQuery, room: int, cursor: tuple[int, int] | None) -> _Gathering:
        geodetic = self.space.coordinates is CoordinateSystem.GEODETIC
        record = query.record(geodetic=geodetic, max_results=room, cursor=cursor)
        form = 0
        if record.kind != NEAREST and query.resolution.spatial > 0:
            form = replies.CELLS
        elif query.resolution.attribute < 0.5:
            form = replies.SHORT
        elif record.flags & wire.WITH_DETAILS:
            form = replies.DETAILED
        gathering = _Gathering(form)

        def build() -> tuple[int, bytes]:
            gathering.begin()
            header = self.header(wire.QUERY, 1)
            return header.sequence, wire.message(header, wire.queries_body([record]))

        pending = _Pending(wire.QUERY, lambda reply: isinstance(reply, replies.Response) and gathering.take(reply.answers[0], pending))
        try:
            await self.exchange(build, pending, same=False)
        except NoAnswer:
            if gathering.parts:
                raise Incomplete(f"{len(gathering.parts)} parts of the answer came, not all") from None
            raise
        gathering.arrange()
        return gathering

    async def explain_presence(self, entity: PresenceEntity | UUID, query: PresenceQuery) -> Explanation:
        """Why an entity is, or is not, in the answer to a query."""
        entity_id = named(getattr(entity, "entity_id", entity))
        geodetic = self.space.coordinates is CoordinateSystem.GEODETIC
        record = query.record(geodetic=geodetic)
        told = await self._ask(wire.EXPLAIN, lambda: wire.explain_body(entity_id.bytes, record), replies.Explanation,
                               lambda reply: reply.code != 0 or reply.entity_id == entity_id.bytes)
        if told.code:
            raise refused(told.code, told.reason, entity_id=entity_id)
        return explanation_of(told)

    def watch(self, query: PresenceQuery | Sequence[Fence], config: SubscriptionConfig | None = None) -> Watch:
        """A standing query, or many of them: `async for event in node.watch(query)`. See `Watch`. config: None is the query's own."""
        from .watch import Fence, Watch

        if isinstance(query, PresenceQuery):
            return Watch(self, [Fence(1, query)], config or query.subscription or SubscriptionConfig())
        return Watch(self, list(query), config or SubscriptionConfig())

    # ---- the engine --------------------------------------------------------------------------

    async def ping(self) -> float:
        """Seconds there and back."""
        sent = 0.0

        def build() -> tuple[int, bytes]:
            nonlocal sent
            header, sent = self.header(wire.PING, 1), time.perf_counter()
            return header.sequence, wire.message(header, self._broadcast(header.sequence))

        def take(reply: Reply) -> bool:
            if not isinstance(reply, replies.Pong) or reply.opaque[:8] != self._key:
                return False
            pending.finish()
            return True

        pending = _Pending(wire.PING, take)
        await self.exchange(build, pending, same=False)
        return time.perf_counter() - sent

    async def counters(self) -> dict[str, int]:
        """The engine's counters by name; for trusted sources only, to others nothing is answered. One that this package has no name for is
        "counter_n"."""
        values: list[int] = []
        while len(values) < 4096:
            first = len(values)
            told = await self._ask(wire.STATE_REQUEST, lambda: wire.state_body(first), replies.State,
                                   lambda reply: reply.code != 0 or reply.first == first)
            if told.code:
                raise refused(told.code, told.reason)
            values += told.values
            if len(values) >= told.total or not told.values:
                break
        return {COUNTERS[n] if n < len(COUNTERS) else f"counter_{n}": value for n, value in enumerate(values)}

    async def _ask(self, kind: int, body: Callable[[], bytes], wanted: type[_Answer], answers: Callable[[_Answer], bool]) -> _Answer:
        taken: list[_Answer] = []

        def build() -> tuple[int, bytes]:
            header = self.header(kind, 1)
            return header.sequence, wire.message(header, body())

        def take(reply: Reply) -> bool:
            if not isinstance(reply, wanted) or taken or not answers(reply):
                return False
            taken.append(reply)
            pending.finish()
            return True

        pending = _Pending(kind, take)
        await self.exchange(build, pending, same=False)
        return taken[0]


def _asked(reply: Reply) -> int:
    """The type of the request that a reply answers."""
    kind = reply.header.type
    return {wire.PONG: wire.PING, wire.STATE_RESPONSE: wire.STATE_REQUEST, wire.ERASED: wire.ERASE}.get(kind, kind)


def _add_cell(cells: dict[tuple[float, ...], Cell], cell: Cell) -> None:
    """A cell comes again only where a bound of work ended within it: the counts are to be added."""
    name = (*cell.centre, cell.size)
    before = cells.get(name)
    if before is not None:
        cell = Cell(cell.centre, before.count + cell.count, cell.size, cell.height, min(before.newest_age_ms, cell.newest_age_ms), cell.level,
                    max(before.below, cell.below), before.below_cells + cell.below_cells)
    cells[name] = cell


class _Gathering:
    """The parts of one attempt's answer as they come, in any order."""

    def __init__(self, form: int):
        self.form = form  # of the results that were asked for
        self.begin()

    def begin(self) -> None:
        self.parts: dict[int, replies.Answer] = {}
        self.total = 0  # 0 = the last part has not come
        self.results = 0
        self.found: list[FoundEntity] = []
        self.cells: list[Cell] = []
        self.truncated, self.cursor = False, (0, 0)
        self.refusal: replies.Answer | None = None

    def take(self, answer: replies.Answer, pending: _Pending) -> bool:
        count = len(answer.results) + len(answer.shorts) + len(answer.cells)
        last, kinds = answer.flags & replies.LAST, answer.flags & (replies.SHORT | replies.CELLS | replies.DETAILED)
        if answer.code:
            if answer.query_id != (0 if answer.flags & replies.PACKET else 1):
                return False
            self.refusal = answer
            pending.finish()
            return True
        # A part after the last one, a second one, more than any engine may give, or results that were not asked for: nothing to follow.
        if answer.query_id != 1 or answer.part >= PARTS_MAX or answer.part in self.parts or \
                self.total and (last or answer.part >= self.total) or last and any(p > answer.part for p in self.parts) or \
                self.results + count > RESULTS_MAX or count and kinds != self.form:
            return False
        self.parts[answer.part] = answer
        self.results += count
        if last:
            self.total = answer.part + 1
        if len(self.parts) == self.total:
            pending.finish()
        return True

    def arrange(self) -> None:
        if self.refusal is not None:
            raise refused(self.refusal.code, self.refusal.reason, detail=self.refusal.detail)
        for _, answer in sorted(self.parts.items()):
            self.found += map(found_of, answer.results)
            self.found += map(short_of, answer.shorts)
            self.cells += map(cell_of, answer.cells)
            self.truncated, self.cursor = bool(answer.flags & replies.TRUNCATED), answer.cursor


__all__ = ["Acknowledgement", "ErasedPlace", "Erasure", "Node", "Traffic"]
