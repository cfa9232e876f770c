#!/usr/bin/env python3
"""Prints the ships near a point, once or as they come and go. With scripts/demo running beside it there are ships near Helsinki.

    PYTHONPATH=client/python client/python/examples/ships_near.py [--uri URI] [--watch SECONDS] [LATITUDE LONGITUDE [METERS]]
"""
import argparse
import asyncio
import math
import sys
import uuid

from spatio_presence import WORLD, EntityFilter, EntityType, EventKind, FoundEntity, PresenceError, PresenceQuery, Sphere, SubscriptionConfig, connect


def name(entity_id: uuid.UUID) -> str:
    """mmsi:230035780 where the id is a number in a namespace, as the demo's ships have it."""
    space, number = entity_id.bytes[:8].rstrip(b"\0"), int.from_bytes(entity_id.bytes[8:], "big")
    return f"{space.decode()}:{number}" if space.isalnum() and space.isascii() else str(entity_id)


def line(ship: FoundEntity) -> str:
    east, north, _ = ship.velocity
    bearing = math.degrees(math.atan2(east, north)) % 360
    return f"{name(ship.entity_id):36}  {ship.distance:7.0f} m  {math.hypot(east, north):4.1f} m/s  {bearing:3.0f}°  {ship.age_ms / 1000:.1f} s ago"


async def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Prints the ships near a point.")
    parser.add_argument("--uri", default="udp://127.0.0.1", help="udp://host:port, or shm:///path")
    parser.add_argument("--key", help="speak in a session: the file with one's secret key")
    parser.add_argument("--engine-key", help="and the engine's public key")
    parser.add_argument("--watch", type=float, metavar="SECONDS", help="then tell who comes and goes")
    parser.add_argument("place", type=float, nargs="*", default=[60.0, 24.9, 20000], help="latitude, longitude and radius")
    options = parser.parse_args(arguments)
    if len(options.place) not in (2, 3):
        parser.error("a place is a latitude, a longitude and, if you like, a radius")
    latitude, longitude, radius = (*options.place, 20000)[:3]

    async with await connect(options.uri, space=WORLD, position=(latitude, longitude), key=options.key, engine_key=options.engine_key) as node:
        near = PresenceQuery(Sphere((latitude, longitude), radius), EntityFilter(types=[EntityType.MOBILE]))
        for ship in sorted(await node.query_presence(near), key=lambda s: s.distance):
            print(line(ship))
        if options.watch:
            try:
                async with asyncio.timeout(options.watch), node.watch(near, SubscriptionConfig(moves=False)) as watch:
                    async for event in watch:
                        if event.kind in (EventKind.ENTER, EventKind.LEAVE) and event.entity and not event.snapshot:
                            print(event.kind.name.lower(), name(event.entity.entity_id))
            except TimeoutError:
                pass


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1:]))
    except (OSError, PresenceError, ValueError) as fault:
        sys.exit(f"ships_near: {fault}")
