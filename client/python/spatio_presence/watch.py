"""Standing queries: who enters, moves in and leaves what is watched.

    async with node.watch(PresenceQuery(spatial_bounds=Sphere((0, 0), 500))) as watch:
        async for event in watch:
            ...

Events come in the order of the engine's numbers, each once. What the network loses is asked for again, what it repeats is left aside. Nothing
grows while nobody reads: an engine sends `window` events ahead of what was read, then waits and merges, so that a reader who comes back finds
the newest state of each entity, not all states. GAP voids all members and a snapshot follows it: where an engine could not tell everything,
and where it was started again, for then the watch subscribes anew by itself.
"""
from __future__ import annotations

import asyncio
import enum
import random
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final
from uuid import UUID

from . import replies, wire
from .entities import CoordinateSystem, Duration, milliseconds
from .errors import NoAnswer, NodeClosed, PresenceError, Refused, refused
from .names import REASONS
from .node import _Pending
from .queries import Explanation, FoundEntity, PresenceQuery, SubscriptionConfig, explanation_of, found_of
from .replies import Reply

if TYPE_CHECKING:
    from .node import Node

ROW: Final = 1024  # events that may wait here, in order or for one before them; those beyond are left aside and asked for again
ASK_AFTER, ASK_MAX, QUIET_MAX = 0.02, 2.0, 8.0  # s
BUSY = 0.005  # s before an engine that works on the message before is asked again
HALVES_MAX = 32
WATCHES_MAX = 16
_BUSY_REASON: Final = next(n for n, r in enumerate(REASONS) if r.name == "subscribe_busy")
_UNKNOWN_REASON: Final = next(n for n, r in enumerate(REASONS) if r.name == "subscription_unknown")


class EventKind(enum.IntEnum):
    ENTER = 1
    MOVE = 2
    LEAVE = 3
    SNAPSHOT_END = 4  # who was inside when the fences began has been told
    GAP = 5  # forget all members of all fences: a new snapshot follows
    ENDED = 6  # the last event
    PAYLOAD = 7


class LeaveCause(enum.IntEnum):
    MOVED = 1
    GONE = 2  # expired, withdrawn, or not shown any more
    ENDED = 3  # the fence was taken away


class EndCause(enum.IntEnum):
    CLOSED = 1
    EXPIRED = 2
    REPLACED = 3
    ENGINE = 4
    UNKNOWN = 255  # the engine does not know the subscription any more


@dataclass(frozen=True, slots=True)
class Fence:
    """One standing query of a watch. follow: an entity about which a Sphere stands, wherever it is. Inside is who is inside of the bounds, outside
    who is outside by more than `margin` m; enter_after, leave_after: for so long without a break."""

    id: int
    query: PresenceQuery
    follow: UUID | None = None
    margin: float = 0.0
    enter_after: Duration = 0.0
    leave_after: Duration = 0.0

    def record(self, geodetic: bool) -> wire.FenceRecord:
        query = self.query.record(query_id=self.id, geodetic=geodetic, fence=True)
        if self.follow is not None:
            query = query._replace(a=(0.0, 0.0, 0.0))
        return wire.FenceRecord(self.id, query, wire.FOLLOW if self.follow is not None else 0, self.margin,
                                milliseconds(self.enter_after, "a dwell time"), milliseconds(self.leave_after, "a dwell time"),
                                self.follow.bytes if self.follow is not None else wire.NIL)


@dataclass(frozen=True, slots=True)
class PresenceEvent:
    """entity: of ENTER, MOVE, and LEAVE (where it was told of last, or its id alone); entity_id of PAYLOAD too. time_ms: Unix, the engine's.
    snapshot: it was inside when the fence began. corrected: a correction, not a move. cause: of LEAVE and ENDED, and of a GAP the end of the
    subscription that was begun anew."""

    kind: EventKind
    sequence: int = 0
    fence: int = 0
    time_ms: int = 0
    entity_id: UUID | None = None
    entity: FoundEntity | None = None
    cause: LeaveCause | EndCause | None = None
    snapshot: bool = False
    corrected: bool = False
    payload: bytes | None = None


@dataclass(slots=True)
class WatchCounts:
    notices: int = 0
    events: int = 0  # handed on
    repeated: int = 0
    beyond: int = 0  # left aside, for they were too far ahead
    halves: int = 0  # payloads that were dropped for want of a piece
    gaps: int = 0
    resumes: int = 0
    renewals: int = 0
    begun: int = 0  # subscriptions, the first one included


class Watch:
    """One subscription. Iterating opens it; `async with` also ends it. One reader at a time."""

    def __init__(self, node: Node, fences: Sequence[Fence], config: SubscriptionConfig, quiet_max: float = QUIET_MAX):
        if not 2 <= config.window <= ROW:
            raise ValueError(f"a window of {config.window} events: 2 to {ROW}")
        self.node, self.config, self.quiet_max = node, config, quiet_max
        self.fences: dict[int, Fence] = {fence.id: fence for fence in fences}
        if len(self.fences) != len(fences) or not fences:
            raise ValueError("a watch has one fence or more, each with an id of its own")
        self.counts = WatchCounts()
        # m: some of what may be seen is published no finer than that, which is coarser than asked for; 0 = as finely as asked for
        self.published = 0.0
        self._key = (0, 0)
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()  # one request of a change at a time
        self._news, self._nudge = asyncio.Event(), asyncio.Event()
        self._lead: PresenceEvent | None = None  # of our own, before the row's next
        self._fault: Exception | None = None
        self._closed = self._ended = False
        self._begun_at = 0.0
        self._halves: OrderedDict[tuple[int, bytes], list[replies.Event]] = OrderedDict()
        self._void()

    def _void(self) -> None:
        self._row: dict[int, replies.Event] = {}
        self._next = self._end = self._acked = 1  # to be read; behind the last that is known of; told to the engine as read
        self._frontier = 1  # the first one that is missing
        self._lost: EndCause | None = None
        self._halves.clear()
        self._message = 0
        self._missing = False
        self._ask_every = self.node.timeout
        self._ask_at = time.monotonic() + self.node.timeout
        self._renew_at = 0.0

    # ---- reading -----------------------------------------------------------------------------

    async def __aenter__(self) -> Watch:
        await self.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> PresenceEvent:
        await self.open()
        while True:
            event = self._take()
            if event is not None:
                return event
            if self._fault is not None:
                raise self._fault
            if self._closed or self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()

    def _take(self) -> PresenceEvent | None:
        if self._lead is not None:
            event, self._lead = self._lead, None
            return event
        while not self._ended and self._next in self._row:
            event_of = self._row.pop(self._next)
            sequence = self._next
            self._next += 1
            if self._next - self._acked >= self.config.window // 4 or not self._row:
                self._nudge.set()
            if event_of.kind == replies.ENDED and self._goes_on(event_of.cause):
                self._lost = EndCause(event_of.cause)
                self._nudge.set()
                continue
            told = self._event(sequence, event_of)
            if told is not None:
                self.counts.events += 1
                return told
        return None

    def _goes_on(self, cause: int) -> bool:
        """An end that nobody asked for: the watch begins anew."""
        return not self._closed and (cause == EndCause.ENGINE or cause == EndCause.EXPIRED and self.config.expiration is None)

    def _event(self, sequence: int, e: replies.Event) -> PresenceEvent | None:
        kind = EventKind(e.kind)
        if kind is EventKind.PAYLOAD:
            return self._piece(sequence, e)
        if kind in (EventKind.GAP, EventKind.ENDED):
            self.counts.halves += len(self._halves)
            self._halves.clear()
            self.counts.gaps += kind is EventKind.GAP
            self._ended |= kind is EventKind.ENDED
            return PresenceEvent(kind, sequence, time_ms=e.time, cause=EndCause(e.cause) if e.cause else None)
        if kind is EventKind.SNAPSHOT_END:
            return PresenceEvent(kind, sequence, time_ms=e.time)
        entity = UUID(bytes=e.entity_id)
        return PresenceEvent(kind, sequence, e.fence_id, e.time, entity, found_of(e.result) if e.result is not None else None,
                             LeaveCause(e.cause) if e.cause else None, bool(e.flags & 1), bool(e.flags & 2))

    def _piece(self, sequence: int, e: replies.Event) -> PresenceEvent | None:
        """A payload when its last piece is there."""
        key = (e.fence_id, e.entity_id)
        half = self._halves.pop(key, [])
        if half and (len(half) != e.cause or half[0].flags != e.flags or half[0].time != e.time):
            self.counts.halves += 1
            half = []
        if len(half) != e.cause:  # a beginning that was never told
            self.counts.halves += 1
            return None
        half.append(e)
        if len(half) < replies.pieces(e.flags):
            self._halves[key] = half
            if len(self._halves) > HALVES_MAX:
                self._halves.popitem(last=False)
                self.counts.halves += 1
            return None
        return PresenceEvent(EventKind.PAYLOAD, sequence, e.fence_id, e.time, UUID(bytes=e.entity_id), payload=b"".join(p.piece for p in half))

    # ---- what the engine sends ---------------------------------------------------------------

    def take_notice(self, notice: replies.Notice) -> bool:
        self.counts.notices += 1
        before = self._frontier
        for n, event in enumerate(notice.events):
            self._hold(notice.first_sequence + n, event)
        while self._frontier in self._row:
            self._frontier += 1
        if self._frontier != before:
            # News: whatever is asked for next is asked for soon.
            self._ask_every = self.node.timeout
            self._ask_at = max(self._ask_at, time.monotonic() + self._ask_every) if not self._missing else self._ask_at
            self._news.set()
        if (self._end > self._frontier) != self._missing:
            self._nudge.set()
        return True

    def _hold(self, sequence: int, event: replies.Event) -> None:
        self._end = max(self._end, sequence + 1)
        if sequence < self._next or sequence in self._row:
            self.counts.repeated += 1
            return
        if event.kind == replies.GAP:
            # All before it is void, come or not.
            self._row = {s: e for s, e in self._row.items() if s > sequence}
            self._next = sequence
            self._frontier = max(self._frontier, sequence)
        if sequence - self._next >= ROW:
            self.counts.beyond += 1
            return
        self._row[sequence] = event

    def take_answer(self, answer: replies.Subscribed) -> bool:
        if answer.code == 0:
            self._end = max(self._end, answer.next_sequence)
            self.published = answer.published
            self._renew_at = time.monotonic() + answer.lease / 2000
            if (self._end > self._frontier) != self._missing:
                self._nudge.set()
        elif answer.reason == _UNKNOWN_REASON and answer.op != wire.OPEN:
            self._lost = EndCause.UNKNOWN
            self._nudge.set()
        return True

    # ---- beginning and ending ----------------------------------------------------------------

    async def open(self) -> None:
        """Subscribes, if that was not done yet; raises why not."""
        if self._task is not None or self._closed:
            return
        self.node.check_loop()
        async with self._lock:
            if self._task is not None or self._closed:
                return
            if len(self.node._watches) >= WATCHES_MAX:
                raise ValueError(f"a node has {WATCHES_MAX} watches at most")
            await self._begin()
            if self._closed:  # meanwhile
                self._send(wire.CLOSE)
                self.node._watches.pop(self._key, None)
                return
            self._task = asyncio.create_task(self._keep())

    async def _begin(self) -> None:
        """OPEN with as many fences as fit, and ADD with the others, in a new epoch."""
        node = self.node
        geodetic = node.space.coordinates is CoordinateSystem.GEODETIC
        batches = _batches([fence.record(geodetic) for fence in self.fences.values()])
        node._watches.pop(self._key, None)
        node._watch_epoch = max(node._watch_epoch + 1, int(time.time()))
        if not self._key[0]:
            node._watch_id = (node._watch_id + 1) & 0xFFFFFFFF or 1
        self._key = (self._key[0] or node._watch_id, node._watch_epoch)
        self._void()
        node._watches[self._key] = self
        self.counts.begun += 1
        self._begun_at = time.monotonic()
        try:
            await self._request(wire.OPEN, batches[0])
            for batch in batches[1:]:
                await self._request(wire.ADD, batch)
        except BaseException:
            if node._open:
                self._send(wire.CLOSE)
            node._watches.pop(self._key, None)
            raise

    def _preamble(self, op: int, sequence: int = 0) -> wire.Subscribe:
        of = wire.Subscribe(*self._key, op, sequence=sequence)
        c = self.config
        expiration = 0
        if c.expiration is not None and op in (wire.OPEN, wire.RENEW):
            expiration = max(1, min(0xFFFFFFFF, c.expiration - int(time.time() * 1000)))
        if op != wire.OPEN:
            return of._replace(expiration=expiration, message=self._message + 1 if op in (wire.ADD, wire.REMOVE) else 0)
        resolution = next(iter(self.fences.values())).query.resolution.spatial if c.filter_updates else 0.0
        flags = c.moves * wire.MOVES | c.filter_updates * wire.FILTER_UPDATES | c.batch_updates * wire.BATCH_UPDATES | \
            c.payloads * wire.PAYLOADS
        return of._replace(priority=int(c.priority), flags=flags, update_frequency=c.update_frequency, window=c.window,
                           resolution=resolution, expiration=expiration)

    def _message_of(self, op: int, fences: Sequence[wire.FenceRecord] = (), names: Sequence[int] = (), sequence: int = 0) -> tuple[int, bytes]:
        header = self.node.header(wire.SUBSCRIBE, len(fences) + len(names))
        return header.sequence, wire.message(header, wire.subscribe_body(self._preamble(op, sequence), fences, names))

    def _send(self, op: int, sequence: int = 0) -> None:
        """Once, without waiting: the clocks come back to what is lost."""
        self.node.send(self._message_of(op, sequence=sequence)[1])

    async def _request(self, op: int, fences: Sequence[wire.FenceRecord] = (), names: Sequence[int] = ()) -> None:
        """Until it is answered; one that finds the engine busy again and again for as long as one that is not answered."""
        until = time.monotonic() + self.node.timeout * self.node.attempts
        while True:
            taken: list[replies.Subscribed] = []

            def take(reply: Reply, taken: list[replies.Subscribed] = taken) -> bool:
                if not isinstance(reply, replies.Subscribed) or (reply.subscription_id, reply.epoch) != self._key or reply.op != op:
                    return False
                taken.append(reply)
                pending.finish()
                return True

            pending = _Pending(wire.SUBSCRIBE, take)
            await self.node.exchange(lambda: self._message_of(op, fences, names), pending)
            answer = taken[0]
            if answer.reason != _BUSY_REASON or time.monotonic() > until:
                break
            await asyncio.sleep(BUSY)
        if answer.code:
            at = answer.fault_index
            named = fences[at].fence_id if at < len(fences) else names[at] if at < len(names) else None
            raise refused(answer.code, answer.reason, fence=named, dropped=answer.reason == _BUSY_REASON)
        if op in (wire.ADD, wire.REMOVE):
            self._message += 1

    async def add(self, *fences: Fence) -> None:
        """More fences; each message's are taken as a whole or not at all. What follows says who is inside, then SNAPSHOT_END."""
        geodetic = self.node.space.coordinates is CoordinateSystem.GEODETIC
        if len({f.id for f in fences} - self.fences.keys()) != len(fences):
            raise ValueError("an id that is in use")
        by_id = {fence.id: fence for fence in fences}
        for batch in _batches([fence.record(geodetic) for fence in fences]):
            await self._change(wire.ADD, batch)
            self.fences.update((record.fence_id, by_id[record.fence_id]) for record in batch)

    async def remove(self, *ids: int) -> None:
        """Who is inside of them leaves (ENDED)."""
        for at in range(0, len(ids), wire.FENCE_NAMES_MAX):
            names = ids[at:at + wire.FENCE_NAMES_MAX]
            await self._change(wire.REMOVE, names=names)
            for name in names:
                self.fences.pop(name, None)

    async def explain_presence(self, entity: UUID, fence: int) -> Explanation:
        """Why an entity is, or is not, in a fence of this watch."""
        await self.open()
        told = await self.node._ask(wire.EXPLAIN, lambda: wire.explain_fence_body(entity.bytes, self._key[0], fence), replies.Explanation,
                                    lambda reply: reply.code != 0 or reply.entity_id == entity.bytes)
        if told.code:
            raise refused(told.code, told.reason, entity_id=entity, fence=fence)
        return explanation_of(told)

    async def _change(self, op: int, fences: Sequence[wire.FenceRecord] = (), names: Sequence[int] = ()) -> None:
        await self.open()
        async with self._lock:
            if self._closed or self._ended:
                raise NodeClosed("the watch has ended")
            try:
                await self._request(op, fences, names)
            except NoAnswer:
                # Nobody knows whether it was taken. What is there is said anew, without it.
                self._lost = self._lost or EndCause.UNKNOWN
                self._nudge.set()
                raise

    async def close(self) -> None:
        """Ends it, whether or not the engine says so; its reader's loop ends."""
        if self._closed:
            return
        self._closed = True
        task, self._task = self._task, None
        try:
            if task is not None:
                task.cancel()
                await asyncio.wait((task,))
                if not self._ended and self.node._open:
                    try:
                        await self._request(wire.CLOSE)
                    except PresenceError:
                        pass  # its lease will end it
        finally:
            self.node._watches.pop(self._key, None)
            self._news.set()

    # ---- what has to be done now and then ----------------------------------------------------

    async def _keep(self) -> None:
        try:
            while not self._ended and not self._closed:
                self._nudge.clear()
                if self._lost is not None:
                    await self._again()
                # Not wait_for: one that is cancelled just when its time comes may forget that it was.
                alarm = asyncio.get_running_loop().call_later(self._look(time.monotonic()), self._nudge.set)
                try:
                    await self._nudge.wait()
                finally:
                    alarm.cancel()
        except Exception as fault:  # its reader is told
            self._fault = fault
            self._news.set()

    async def _again(self) -> None:
        """The engine lost the subscription: all that was told is void, and it is asked for anew for as long as nobody refuses."""
        cause, pause = self._lost, self.node.timeout
        self._row.clear()
        self._lead = PresenceEvent(EventKind.GAP, cause=cause)
        self.counts.gaps += 1
        self._news.set()
        # An engine that forgets at once is asked no more often than one that does not answer.
        await asyncio.sleep(self._begun_at + pause - time.monotonic())
        while True:
            try:
                async with self._lock:
                    await self._begin()
                return
            except NoAnswer:
                pass
            except Refused as fault:
                if not fault.dropped:
                    raise
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))
            pause = min(2 * pause, self.quiet_max)

    def _look(self, now: float) -> float:
        """Acknowledges, asks and renews what is due; how long there is nothing to do."""
        if self._next != self._acked:
            self._acked = self._next
            self._send(wire.ACKNOWLEDGE, self._next)
        self._ask(now)
        due = [self._ask_at - now]
        if self.config.expiration is None and self._renew_at:
            if now >= self._renew_at:
                self._renew_at = now + 4 * self.node.timeout
                self.counts.renewals += 1
                self._send(wire.RENEW)
            due.append(self._renew_at - now)
        return max(0.001, min(due))

    def _ask(self, now: float) -> None:
        """For what is missing; where nothing seems to be, whether that is so. Not while a reader has enough to read."""
        missing = self._end > self._frontier
        if missing != self._missing:
            self._missing = missing
            self._ask_every = self.node.timeout
            self._ask_at = now + (ASK_AFTER if missing else self.node.timeout)
        if now < self._ask_at:
            return
        most = ASK_MAX if missing else self.quiet_max
        if self._frontier - self._next < (ROW // 2 if missing else 1):
            self.counts.resumes += 1
            self._send(wire.RESUME, self._frontier)
        self._ask_at = now + self._ask_every
        self._ask_every = min(2 * self._ask_every, most)


def _batches(records: Sequence[wire.FenceRecord]) -> list[list[wire.FenceRecord]]:
    """As many fences a message as fit."""
    batches: list[list[wire.FenceRecord]] = []
    room = 0
    for record in records:
        size = 168 + len(record.query.extension)
        if not batches or size > room or len(batches[-1]) == wire.FENCES_MAX:
            batches.append([])
            room = wire.BYTES_MAX - 128
        if size > room:
            raise ValueError(f"fence {record.fence_id} has no room in a message")
        batches[-1].append(record)
        room -= size
    return batches
