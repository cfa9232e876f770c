"""Sessions of the presence protocol in Python, written from docs/sessions.md on python3-cryptography: shares neither code
nor library with the engine.

Noise is the whole of Noise_IKpsk2_25519_AESGCM_SHA256, both sides; Session seals and opens messages.
"""
import hashlib
import hmac
import os
import struct
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CONNECT, CONNECT_ACK, DISCONNECT = 0x00, 0x01, 0x02
KNOCK, COOKIE, HELLO, WELCOME = 1, 2, 3, 4
SIGN, ENCRYPT = 1, 2
CONNECT_BYTES, COOKIE_BYTES, WELCOME_BYTES = 256, 128, 192
PROLOGUE_BYTES = 112

HEADER = struct.Struct("<BBHIQQQHHI16sQ16s")
HELLO_PAYLOAD = struct.Struct("<B7xQ16x")
WELCOME_PAYLOAD = struct.Struct("<QBBHIIIQ16s")
assert (HEADER.size, HELLO_PAYLOAD.size, WELCOME_PAYLOAD.size) == (80, 32, 48)


def public_of(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def exchange(secret, public):
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def hkdf(chain, material, count):
    temp, outputs, last = mac(chain, material), [], b""
    for i in range(1, count + 1):
        last = mac(temp, last + bytes([i]))
        outputs.append(last)
    return outputs


class Noise:
    """One handshake. `static` and `ephemeral` are secret keys of 32 bytes."""
    NAME = b"Noise_IKpsk2_25519_AESGCM_SHA256"

    def __init__(self, initiator, prologue, static, remote=None, psk=bytes(32), ephemeral=None):
        self.initiator, self.static, self.remote, self.psk = initiator, static, remote, psk
        self.ephemeral = ephemeral or os.urandom(32)
        self.key, self.nonce, self.remote_ephemeral = None, 0, None
        self.hash = self.chain = self.NAME
        assert len(self.NAME) == 32
        self.mix_hash(prologue)
        self.mix_hash(remote if initiator else public_of(static))

    def mix_hash(self, data):
        self.hash = hashlib.sha256(self.hash + data).digest()

    def mix_key(self, material):
        self.chain, self.key = hkdf(self.chain, material, 2)
        self.nonce = 0

    def mix_psk(self):
        self.chain, temp, self.key = hkdf(self.chain, self.psk, 3)
        self.nonce = 0
        self.mix_hash(temp)

    def next_nonce(self):
        self.nonce += 1
        return bytes(4) + struct.pack(">Q", self.nonce - 1)

    def encrypt(self, data):
        out = AESGCM(self.key).encrypt(self.next_nonce(), data, self.hash)
        self.mix_hash(out)
        return out

    def decrypt(self, data):
        out = AESGCM(self.key).decrypt(self.next_nonce(), data, self.hash)
        self.mix_hash(data)
        return out

    def own_ephemeral(self):
        public = public_of(self.ephemeral)
        self.mix_hash(public)
        self.mix_key(public)
        return public

    def take_ephemeral(self, public):
        self.remote_ephemeral = public
        self.mix_hash(public)
        self.mix_key(public)

    def write_first(self, payload):
        out = self.own_ephemeral()
        self.mix_key(exchange(self.ephemeral, self.remote))
        out += self.encrypt(public_of(self.static))
        self.mix_key(exchange(self.static, self.remote))
        return out + self.encrypt(payload)

    def read_first(self, message):
        self.take_ephemeral(message[:32])
        self.mix_key(exchange(self.static, self.remote_ephemeral))
        self.remote = self.decrypt(message[32:80])
        self.mix_key(exchange(self.static, self.remote))
        return self.decrypt(message[80:])

    def write_second(self, payload):
        out = self.own_ephemeral()
        self.mix_key(exchange(self.ephemeral, self.remote_ephemeral))
        self.mix_key(exchange(self.ephemeral, self.remote))
        self.mix_psk()
        return out + self.encrypt(payload)

    def read_second(self, message):
        self.take_ephemeral(message[:32])
        self.mix_key(exchange(self.ephemeral, self.remote_ephemeral))
        self.mix_key(exchange(self.static, self.remote_ephemeral))
        self.mix_psk()
        return self.decrypt(message[32:])

    def split(self):
        """The keys of initiator → responder and back."""
        return hkdf(self.chain, b"", 2)


def key_id(engine_public):
    return hashlib.sha256(b"presenced key id" + engine_public).digest()[:8]


def connect_message(step, engine_public, sequence, stream_id=0, cookie=bytes(16), noise=None, clock_ms=None):
    """KNOCK, or with `noise` (a function of the prologue that gives the first message) HELLO."""
    if clock_ms is None:
        clock_ms = int(time.time() * 1000)
    head = HEADER.pack(1, CONNECT, 0, stream_id, sequence, clock_ms, 0, 1, 0, 0, bytes(16), 0, bytes(16))
    prologue = head + bytes([step]) + bytes(7) + key_id(engine_public) + cookie
    assert len(prologue) == PROLOGUE_BYTES
    message = prologue + (noise(prologue) if noise else bytes(128))
    tag = mac(hashlib.sha256(b"presenced mac key" + engine_public).digest(), message)[:16]
    assert len(message) + 16 == CONNECT_BYTES
    return message + tag


class Handshake:
    """knock() → read_cookie() → hello() → read_welcome(), which gives a Session."""

    def __init__(self, static, engine_public, psk=bytes(32), level=ENCRYPT, ephemeral=None):
        self.static, self.engine_public, self.psk, self.level = static, engine_public, psk, level
        self.ephemeral, self.cookie, self.noise = ephemeral, None, None
        self.sequence = int.from_bytes(os.urandom(8), "little")

    def knock(self):
        self.sequence = (self.sequence + 1) % 2**64
        return connect_message(KNOCK, self.engine_public, self.sequence)

    def read_cookie(self, message):
        kind, step = message[1], message[80]
        (sequence,) = struct.unpack_from("<Q", message, 88)
        if len(message) != COOKIE_BYTES or kind != CONNECT_ACK or step != COOKIE or sequence != self.sequence:
            raise ValueError("no cookie of ours")
        self.cookie = message[104:120]

    def hello(self):
        self.sequence = (self.sequence + 1) % 2**64

        def first(prologue):
            self.noise = Noise(True, prologue, self.static, self.engine_public, self.psk, self.ephemeral)
            return self.noise.write_first(HELLO_PAYLOAD.pack(self.level, int(time.time() * 1000)))

        return connect_message(HELLO, self.engine_public, self.sequence, cookie=self.cookie, noise=first)

    def read_welcome(self, message):
        kind, step = message[1], message[80]
        (sequence,) = struct.unpack_from("<Q", message, 88)
        if len(message) != WELCOME_BYTES or kind != CONNECT_ACK or step != WELCOME or sequence != self.sequence:
            raise ValueError("no welcome of ours")
        grant = WELCOME_PAYLOAD.unpack(self.noise.read_second(message[96:]))
        return Session(grant, *self.noise.split())


class Direction:
    """The keys of one direction, from epoch to epoch."""

    def __init__(self, split):
        self.chain = mac(split, b"presenced chain")
        self.step()

    def step(self):
        self.secret = mac(self.chain, b"presenced seal")[:20]
        self.key, self.salt = AESGCM(self.secret[:16]), self.secret[16:]
        self.chain = mac(self.chain, b"presenced next")


class Session:
    def __init__(self, grant, first, second):
        (self.id, self.level, reserved, self.window, self.epoch_s, self.life_s, self.idle_s, self.clock_ms,
         self.principal) = grant
        if reserved or self.level not in (SIGN, ENCRYPT):
            raise ValueError("a grant that is none")
        self.to_engine, self.from_engine = Direction(first), Direction(second)
        self.epoch, self.sequence, self.unproved = 0, 0, False

    def next_epoch(self):
        """The messages that are sealed from now on; the engine's follow with its answer to the first."""
        self.to_engine.step()
        self.from_engine.step()
        self.epoch += 1

    def seal(self, message, sequence=None):
        """A whole message as outside a session: its session id and sequence are set here."""
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        head = bytearray(message[:64])
        struct.pack_into("<Q", head, 8, sequence)
        struct.pack_into("<Q", head, 24, self.id | self.epoch % 256)
        head, body = bytes(head), message[80:]
        nonce = self.to_engine.salt + head[8:16]
        if self.level == SIGN:
            return head + self.to_engine.key.encrypt(nonce, b"", head + bytes(16) + body) + body
        out = self.to_engine.key.encrypt(nonce, body, head)
        return head + out[-16:] + out[:-16]

    def open(self, message):
        """The message as outside a session, its tag zero; InvalidTag where it is not the engine's."""
        head, tag, body = message[:64], message[64:80], message[80:]
        (session_id,) = struct.unpack_from("<Q", head, 24)
        if session_id != self.id | self.epoch % 256:
            raise InvalidTag
        nonce = self.from_engine.salt + head[8:16]
        if self.level == SIGN:
            self.from_engine.key.decrypt(nonce, tag, head + bytes(16) + body)
        else:
            body = self.from_engine.key.decrypt(nonce, body + tag, head)
        # Bit 15 of the flags: nobody has shown to receive where this went.
        self.unproved = bool(head[3] & 0x80)
        return head[:3] + bytes([head[3] & 0x7F]) + head[4:] + bytes(16) + body
