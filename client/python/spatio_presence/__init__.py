"""Presence on the Spatio Protocol (RFC-102): who is where, and who is near, asked of a presence engine. Pure Python, asyncio; sessions by
libpresence: `await connect("udp://host:port", key="alice.key", engine_key="…")`.

    import asyncio
    from spatio_presence import *

    async def main():
        async with Node(position=(10, 20, 1.5)) as node:
            await node.broadcast_presence(PresenceEntity(broadcast_config=BroadcastConfig(radius=100, frequency=30)))
            for entity in await node.query_presence(PresenceQuery(spatial_bounds=Sphere(node.position, 200))):
                print(entity.entity_id, entity.distance)

    asyncio.run(main())
"""
from .connecting import connect
from .entities import (LOCAL, WORLD, ActivityState, BroadcastConfig, CoordinateSystem, EntityType, PowerMode, PrecisionLevel,
                       PresenceContext, PresenceEntity, PresenceStatus, Schedule, Space, SpatialAddress, SpatialScope, VisibilityLevel, numbered)
from .errors import Code, Incomplete, NoAnswer, NodeClosed, NoSession, PresenceError, Refused
from .filters import EntityFilter, Filter, FilterError
from .library import SessionLevel, LibraryTransport
from .node import Acknowledgement, ErasedPlace, Erasure, Node, Traffic
from .queries import (Cause, Cell, Details, Explanation, FoundEntity, PresenceQuery, PresenceResults, Priority, QueryResolution,
                      SubscriptionConfig, TimeWindow)
from .rings import RingTransport
from .transport import Transport, UdpTransport
from .values import REMOVED, Value
from .volumes import BoundingVolume, Box, Frustum, Nearest, OrientedBox, Point, Polygon, Sphere, heading
from .watch import EndCause, EventKind, Fence, LeaveCause, PresenceEvent, Watch

__version__ = "0.1.0"
__all__ = [
    "LOCAL", "REMOVED", "WORLD", "Acknowledgement", "ActivityState", "BoundingVolume", "Box", "BroadcastConfig", "Cause", "Cell", "Code",
    "CoordinateSystem", "Details", "EndCause", "EntityFilter", "EntityType", "ErasedPlace", "Erasure", "EventKind", "Explanation",
    "Fence", "Filter", "FilterError", "FoundEntity", "Frustum", "Incomplete", "LeaveCause", "LibraryTransport", "Nearest", "NoAnswer",
    "NoSession", "Node", "NodeClosed", "OrientedBox", "Point", "Polygon", "PowerMode", "PrecisionLevel", "PresenceContext",
    "PresenceEntity", "PresenceError", "PresenceEvent", "PresenceQuery", "PresenceResults", "PresenceStatus", "Priority",
    "QueryResolution", "Refused", "RingTransport", "Schedule", "SessionLevel", "Space", "SpatialAddress", "SpatialScope", "Sphere",
    "SubscriptionConfig", "TimeWindow", "Traffic", "Transport", "UdpTransport", "Value", "VisibilityLevel", "Watch", "connect", "heading",
    "numbered",
]
