"""The suite's calls by the package spatio_presence."""
import asyncio
import contextlib
import pathlib
import sys
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "client" / "python"))

import spatio_presence as sp  # noqa: E402
from driver import SPACES, Cell, Driver, Erased, Event, Found, Row, Told, Verdict  # noqa: E402


def bounds(volume):
    kind, *of = volume
    if kind == "polygon":
        return sp.Polygon(of[0], of[1:], rounded=len(of[0]) > 64)
    if kind == "oriented_box":
        return sp.OrientedBox(of[0], of[1], sp.heading(of[2]))
    if kind == "frustum":
        return sp.Frustum(*of[:5], sp.heading(of[5]))
    return {"sphere": sp.Sphere, "box": sp.Box, "point": sp.Point, "nearest": sp.Nearest}[kind](*of)


def row(e):
    d = e.details or sp.Details()
    return Row(e.position, e.distance, e.velocity, e.entity_type.name.lower(), e.custom_type, e.state.name.lower(), e.custom_state, e.age_ms,
               e.ttl_left_ms, e.precision, e.stale, set(d.context.tags) if d.context else set(), d.context.activity if d.context else "",
               d.metadata, str(d.parent) if d.parent else None)


class Watching:
    def __init__(self, driver, watch):
        self.driver, self.watch, self.events, self.reason = driver, watch, [], ""

    @property
    def published(self):
        return self.watch.published

    async def read(self):
        async for e in self.watch:
            self.events.append(Event(e.kind.name, e.fence, str(e.entity_id) if e.entity_id else None, e.cause.name.lower() if e.cause else "",
                                     e.snapshot, e.entity.position if e.entity else None, e.payload))

    def pump(self, seconds):
        self.driver.run(asyncio.sleep(seconds))


class PythonDriver(Driver):
    def __init__(self, make):
        """make(space, event loop) gives a node that is not open."""
        self.loop = asyncio.new_event_loop()
        self.make, self.nodes = make, {}

    def run(self, job):
        return self.loop.run_until_complete(asyncio.wait_for(job, 200))

    def node(self, space):
        if space not in self.nodes:
            kind = sp.CoordinateSystem.GEODETIC if space == "world" else sp.CoordinateSystem.CARTESIAN
            self.nodes[space] = self.make(sp.Space(uuid.UUID(SPACES[space]), kind))
            self.run(self.nodes[space].open())
        return self.nodes[space]

    def next_of(self, space):
        """The space's node, whose records go on from those of the others: it is one sender with a node in each space."""
        node = self.node(space)
        for other in self.nodes.values():
            node.go_on_from(other.incarnation, other._record)
        return node

    def told(self, job):
        try:
            return Told(self.run(job).status)
        except sp.Refused as fault:
            return Told("refused", fault.reason_name)

    def publish(self, entity_id, position, space="local", *, type="mobile", type_code=0, state="active", custom_state=0, velocity=None, ttl=None,
                duration=None, radius=0.0, precision=0.0, confidence=None, frequency=0, announced=0, relocation=False, tags=None, activity=None,
                meta=None, schedule=None, parent=None, payload=None):
        entity = sp.PresenceEntity(
            sp.EntityType[type.upper()], sp.BroadcastConfig(radius, frequency), uuid.UUID(entity_id),
            sp.SpatialAddress(position, velocity or (0.0, 0.0, 0.0), precision=precision, confidence=confidence,
                              reference_frame=uuid.UUID(parent) if parent else None),
            sp.PresenceStatus(sp.ActivityState[state.upper()], duration=duration, confidence=confidence, update_frequency=announced,
                              custom_state=custom_state),
            context=sp.PresenceContext(activity or "", tags or ()) if tags is not None or activity is not None else None,
            metadata={n: sp.REMOVED if v is ... else v for n, v in (meta or {}).items()}, custom_type=type_code,
            schedule=sp.Schedule(int(schedule[0] * 1000), *schedule[1:]) if schedule else None)
        return self.told(self.next_of(space).broadcast_presence(entity, ttl=ttl, payload=payload, relocation=relocation))

    def withdraw(self, entity_id, space="local"):
        return self.told(self.next_of(space).withdraw_presence(uuid.UUID(entity_id)))

    def erase(self, entity_id, space="local"):
        try:
            told = self.run(self.node(space).erase_presence(uuid.UUID(entity_id)))
        except sp.Refused as fault:
            return Erased("refused", fault.reason_name)
        return Erased(told.status, "", frozenset({"WAITING": "waiting state"}.get(p.name, p.name.lower()) for p in sp.ErasedPlace if p in told.where))

    @staticmethod
    def said(volume, *, filter=None, types=None, states=None, heights=None, origin=None, limit=0, three_d=False, ahead=None, cells=None,
             brief=False, max_age=None):
        wanted = sp.EntityFilter(types=[sp.EntityType[t.upper()] for t in types] if types else None,
                                 states=[sp.ActivityState[s.upper()] for s in states] if states else None, where=filter)
        return sp.PresenceQuery(
            bounds(volume), wanted, sp.TimeWindow(ahead) if ahead is not None else None,
            sp.QueryResolution(cells or 0.0, int((max_age or 0) * 1000), 0.0 if brief else 1.0), origin=origin, heights=heights,
            distance_3d=three_d, max_results=limit)

    def query(self, volume, space="local", **options):
        try:
            found = self.run(self.node(space).query_presence(self.said(volume, **options)))
        except sp.Refused as fault:
            return Found({}, False, (), fault.reason_name)
        return Found({str(e.entity_id): row(e) for e in found}, found.truncated, [Cell(c.centre, c.count, c.size, c.below_cells, c.below) for c in found.cells])

    def explain(self, entity_id, volume, space="local", **options):
        e = self.run(self.node(space).explain_presence(uuid.UUID(entity_id), self.said(volume, **options)))
        return Verdict(e.found, e.first_cause.name if e.first_cause else "", {c.name for c in e.causes})

    @contextlib.contextmanager
    def watch(self, volume, space="local", *, filter=None, margin=0.0, follow=None, moves=True, payloads=False):
        query = sp.PresenceQuery(bounds(volume), sp.EntityFilter(where=filter))
        fence = sp.Fence(1, query, uuid.UUID(follow) if follow else None, margin)
        watching = Watching(self, self.node(space).watch([fence], sp.SubscriptionConfig(moves=moves, payloads=payloads)))
        try:
            self.run(watching.watch.open())
        except sp.Refused as fault:
            watching.reason = fault.reason_name
            yield watching
            return
        reader = self.loop.create_task(watching.read())
        try:
            yield watching
        finally:
            self.run(watching.watch.close())
            self.run(reader)

    def ping(self):
        try:
            return self.run(self.node("local").ping()) > 0
        except sp.NoAnswer:
            return False

    def counters(self):
        return self.run(self.node("local").counters())

    def close(self):
        for node in self.nodes.values():
            self.run(node.close())
        self.loop.close()
