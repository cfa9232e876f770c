"""What can go wrong, as exceptions: one for each error code of the Spatio Protocol core that an engine sends.

`Refused` is what an engine said no to, with its code and its reason; `NoAnswer` is what nobody answered. Both are `PresenceError`.
What cannot be said in a message at all is a `ValueError` of the call that was to say it, and nothing is sent.
"""
from __future__ import annotations

import enum
from collections.abc import Callable
from functools import partial
from typing import Final
from uuid import UUID

from .names import REASONS


class Code(enum.IntEnum):
    """Error codes of the core."""

    SUCCESS = 0x00
    UNKNOWN_ERROR = 0x01
    INVALID_MESSAGE = 0x02
    PROTOCOL_ERROR = 0x03
    VERSION_MISMATCH = 0x04
    INVALID_COORDINATES = 0x10
    OUT_OF_BOUNDS = 0x11
    PRECISION_ERROR = 0x12
    SPATIAL_CONFLICT = 0x13
    QUERY_TIMEOUT = 0x14
    STATE_CONFLICT = 0x20
    INVALID_STATE = 0x21
    SYNC_FAILED = 0x22
    DELTA_ERROR = 0x23
    VERSION_CONFLICT = 0x24
    CONNECTION_FAILED = 0x30
    PEER_UNREACHABLE = 0x31
    BANDWIDTH_EXCEEDED = 0x32
    TIMEOUT = 0x33
    RELAY_FAILED = 0x34
    AUTH_FAILED = 0x40
    UNAUTHORIZED = 0x41
    ENCRYPTION_ERROR = 0x42
    INVALID_SIGNATURE = 0x43
    TOKEN_EXPIRED = 0x44
    OUT_OF_MEMORY = 0x50
    CPU_EXCEEDED = 0x51
    STORAGE_FULL = 0x52
    RATE_LIMITED = 0x53
    EXTENSION_ERROR = 0xF0
    CUSTOM_ERROR = 0xFF


class PresenceError(Exception):
    """Anything that this package raises of its own."""


class NodeClosed(PresenceError):
    """The node (or its transport) was closed, or never opened."""


class NoAnswer(PresenceError, TimeoutError):
    """No answer after all attempts: whether the request was taken is not known."""

    code: Final = Code.TIMEOUT


class NoSession(PresenceError, ConnectionError):
    """An engine opened no session. It is not there, or has another key than was said, or does not have this one in its keyring, or another
    pre-shared key with it: it is silent in each case, so that nobody learns which."""

    code: Final = Code.CONNECTION_FAILED


class Incomplete(NoAnswer):
    """Some parts of an answer came, and not all, in each attempt."""


class Refused(PresenceError):
    """An engine said no. A number that this package does not know is in `code` and `reason` all the same."""

    def __init__(self, code: int, reason: int = 0, *, entity_id: UUID | None = None, known_incarnation: int = 0,
                 known_sequence: int = 0, dropped: bool = False, fence: int | None = None, detail: int = 0):
        self.code = code
        self.reason = reason
        self.entity_id = entity_id
        # What the engine knows of the entity, of a record that came too late.
        self.known_incarnation = known_incarnation
        self.known_sequence = known_sequence
        # True: the engine had no room; the same may be sent again later.
        self.dropped = dropped
        self.fence = fence  # the one at fault
        # Where a filter is at fault: docs/protocol.md, SPATIAL_RESPONSE.
        self.detail = detail
        super().__init__(str(self))

    def __reduce__(self) -> tuple[Callable[[], Refused], tuple[()]]:
        """Copied, and sent to another process, as what it says and not as its text."""
        return partial(type(self), self.code, self.reason, entity_id=self.entity_id, known_incarnation=self.known_incarnation,
                       known_sequence=self.known_sequence, dropped=self.dropped, fence=self.fence, detail=self.detail), ()

    @property
    def reason_name(self) -> str:
        """As in the protocol's table: "stale"; "" for a number that this package does not know."""
        return REASONS[self.reason].name if 0 < self.reason < len(REASONS) else ""

    def __str__(self) -> str:
        known = 0 < self.reason < len(REASONS)
        text = REASONS[self.reason].text if known else "a reason that this package does not know"
        code = Code(self.code).name if self.code in Code._value2member_map_ else f"code {self.code:#04x}"
        told = f"{self.reason_name or self.reason}: {text} ({code})"
        if self.entity_id is not None:
            told = f"{self.entity_id}: {told}"
        if self.fence is not None:
            told = f"fence {self.fence}: {told}"
        if self.detail:
            step = self.detail >> 8 & 0xFF
            told += f"; fault {self.detail & 0xFF} of the filter" + ("" if step == 255 else f" in its step {step + 1}")
        return told


class UnknownError(Refused):
    """0x01, and any code that the core does not have."""


class InvalidMessage(Refused):
    """0x02"""


class ProtocolFault(Refused):
    """0x03"""


class VersionMismatch(Refused):
    """0x04"""


class InvalidCoordinates(Refused):
    """0x10"""


class OutOfBounds(Refused):
    """0x11"""


class PrecisionFault(Refused):
    """0x12"""


class SpatialConflict(Refused):
    """0x13"""


class QueryTimeout(Refused):
    """0x14"""


class StateConflict(Refused):
    """0x20"""


class InvalidState(Refused):
    """0x21"""


class SyncFailed(Refused):
    """0x22"""


class DeltaFault(Refused):
    """0x23"""


class VersionConflict(Refused):
    """0x24: the engine knows something newer of the entity: known_incarnation, known_sequence."""


class ConnectionFailed(Refused):
    """0x30"""


class PeerUnreachable(Refused):
    """0x31"""


class BandwidthExceeded(Refused):
    """0x32"""


class RemoteTimeout(Refused):
    """0x33, said by an engine; `NoAnswer` is what nobody said."""


class RelayFailed(Refused):
    """0x34"""


class AuthFailed(Refused):
    """0x40"""


class Unauthorized(Refused):
    """0x41"""


class EncryptionFault(Refused):
    """0x42"""


class InvalidSignature(Refused):
    """0x43"""


class TokenExpired(Refused):
    """0x44"""


class OutOfMemory(Refused):
    """0x50: a table of the engine's is full."""


class CpuExceeded(Refused):
    """0x51"""


class StorageFull(Refused):
    """0x52"""


class RateLimited(Refused):
    """0x53"""


class ExtensionFault(Refused):
    """0xF0"""


class CustomFault(Refused):
    """0xFF"""


BY_CODE: Final[dict[Code, type[Refused]]] = {
    Code.UNKNOWN_ERROR: UnknownError,
    Code.INVALID_MESSAGE: InvalidMessage,
    Code.PROTOCOL_ERROR: ProtocolFault,
    Code.VERSION_MISMATCH: VersionMismatch,
    Code.INVALID_COORDINATES: InvalidCoordinates,
    Code.OUT_OF_BOUNDS: OutOfBounds,
    Code.PRECISION_ERROR: PrecisionFault,
    Code.SPATIAL_CONFLICT: SpatialConflict,
    Code.QUERY_TIMEOUT: QueryTimeout,
    Code.STATE_CONFLICT: StateConflict,
    Code.INVALID_STATE: InvalidState,
    Code.SYNC_FAILED: SyncFailed,
    Code.DELTA_ERROR: DeltaFault,
    Code.VERSION_CONFLICT: VersionConflict,
    Code.CONNECTION_FAILED: ConnectionFailed,
    Code.PEER_UNREACHABLE: PeerUnreachable,
    Code.BANDWIDTH_EXCEEDED: BandwidthExceeded,
    Code.TIMEOUT: RemoteTimeout,
    Code.RELAY_FAILED: RelayFailed,
    Code.AUTH_FAILED: AuthFailed,
    Code.UNAUTHORIZED: Unauthorized,
    Code.ENCRYPTION_ERROR: EncryptionFault,
    Code.INVALID_SIGNATURE: InvalidSignature,
    Code.TOKEN_EXPIRED: TokenExpired,
    Code.OUT_OF_MEMORY: OutOfMemory,
    Code.CPU_EXCEEDED: CpuExceeded,
    Code.STORAGE_FULL: StorageFull,
    Code.RATE_LIMITED: RateLimited,
    Code.EXTENSION_ERROR: ExtensionFault,
    Code.CUSTOM_ERROR: CustomFault,
}


def refused(code: int, reason: int = 0, *, entity_id: UUID | None = None, known_incarnation: int = 0, known_sequence: int = 0,
            dropped: bool = False, fence: int | None = None, detail: int = 0) -> Refused:
    """The exception of a code that an engine told."""
    kind: type[Refused] = BY_CODE.get(Code(code), UnknownError) if code in Code._value2member_map_ else UnknownError
    return kind(code, reason, entity_id=entity_id, known_incarnation=known_incarnation, known_sequence=known_sequence,
                dropped=dropped, fence=fence, detail=detail)
