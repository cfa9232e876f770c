"""What the conformance suite asks of a client: the same few calls of each, whatever language and transport it has. Cases know nothing else.

Positions are tuples of two or three numbers, heights that are unknown None. `space` is "local" (CARTESIAN, an engine's first) or "world"
(GEODETIC). A volume is a tuple: ("sphere", centre, radius), ("box", low, high), ("point", at), ("polygon", ring, hole…), ("oriented_box", centre,
half, degrees), ("frustum", apex, horizontal, vertical, near, far, degrees), ("nearest", at, count, within).
"""
import collections
import time

import engine_process

LOCAL = "6c6f6361-6c00-4000-8000-000000000001"
WORLD = "776f726c-6400-4000-8000-000000000001"
NOWHERE = "00000000-0000-4000-8000-0000000000ff"
SPACES = {"local": LOCAL, "world": WORLD, "nowhere": NOWHERE}

# What came of a request: status "applied", "accepted", "coalesced" or "refused" with the reason's name.
Told = collections.namedtuple("Told", "status reason", defaults=("",))
# What came of an erasure, and the names of the places that it went from.
Erased = collections.namedtuple("Erased", "status reason where", defaults=("", frozenset()))
# What was found: {id: Row} in the order of the answer, and a list of Cell where they were asked for. few: of entities that may be counted only, in how
# many cells of theirs there are fewer than `below`.
Found = collections.namedtuple("Found", "rows truncated cells reason", defaults=((), ""))
Cell = collections.namedtuple("Cell", "centre count size few below", defaults=(0, 0))
Row = collections.namedtuple("Row", "position distance velocity type type_code state custom_state age_ms ttl_left_ms precision stale tags activity "
                             "metadata parent")
Event = collections.namedtuple("Event", "kind fence id cause snapshot position payload")
Verdict = collections.namedtuple("Verdict", "found first causes")
TAKEN = ("applied", "accepted")


class Driver:
    """Entities are named by their uuid as text. Times are seconds."""

    # Names of what a client cannot say; cases that need it are skipped by name.
    lacks = frozenset()

    def publish(self, entity_id, position, space="local", *, type="mobile", type_code=0, state="active", custom_state=0, velocity=None, ttl=None,
                duration=None, radius=0.0, precision=0.0, confidence=None, frequency=0, announced=0, relocation=False, tags=None, activity=None,
                meta=None, schedule=None, parent=None, payload=None):
        """Told. meta: {name: value}, a value of ... takes the name away. schedule: opening (Unix s), period, open for."""
        raise NotImplementedError

    def withdraw(self, entity_id, space="local"):
        """Told."""
        raise NotImplementedError

    def erase(self, entity_id, space="local"):
        """Erased."""
        raise NotImplementedError

    def query(self, volume, space="local", *, filter=None, types=None, states=None, heights=None, origin=None, limit=0, three_d=False, ahead=None,
              cells=None, brief=False, max_age=None):
        """Found, all pages of it unless limit says how many; refused: with its reason."""
        raise NotImplementedError

    def explain(self, entity_id, volume, space="local", **options):
        """Verdict: found, the first cause's name ("" = none), the set of causes' names."""
        raise NotImplementedError

    def watch(self, volume, space="local", *, filter=None, margin=0.0, follow=None, moves=True, payloads=False):
        """A context manager with `events`, a list that grows, and `pump(seconds)`, which lets it. `published`: m, where it is told less finely than it
        asks for; else 0. Refused: `reason`."""
        raise NotImplementedError

    def ping(self):
        """Whether the engine answered."""
        raise NotImplementedError

    def close(self):
        pass


def eventually(what, seconds=60.0):
    """Until what() is true: accepted updates are seen a moment later. By turns and not by the clock: the machine may stand still."""
    for _ in range(round(engine_process.patience(seconds) / 0.02)):
        told = what()
        if told:
            return told
        time.sleep(0.02)
    engine_process.gave_up()
    raise AssertionError(f"not within {seconds} s")
