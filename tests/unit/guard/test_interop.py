#!/usr/bin/env python3
"""Sessions between the engine's C and an independent client (tests/e2e/presence_guard.py, on python3-cryptography).

test_interop.py PEER: starts guard-peer with a keyring of its own and talks to it, with each of its backends.
"""
import hashlib
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "e2e"))
try:
    import presence_guard as guard
except ImportError as e:
    print(f"SKIP: python3-cryptography is not installed ({e})")
    sys.exit(77)

COOKIED, WELCOMED, MALFORMED, KEY, MAC, LATE, HANDSHAKE, LEVEL, STRANGER, FULL = range(10)
OK, UNKNOWN, EPOCH, REPLAY, TAG = range(100, 105)
PONG = 4
ENGINE, CLIENT, OTHER = (bytes([7, n]) + bytes(30) for n in (1, 2, 3))
PSK = bytes(range(32))


def example():
    """What docs/sessions.md shows, worked out again."""
    public = guard.public_of(ENGINE)
    message = guard.HEADER.pack(1, 3, 0, 7, 0, 1795000000000, 0, 1, 0, 0, bytes(16), 0, bytes(16)) + b"\xaa" * 16
    out = {"public": public, "key-id": guard.key_id(public),
           "mac-key": hashlib.sha256(b"presenced mac key" + public).digest(),
           "knock": guard.connect_message(guard.KNOCK, public, 42, 7, clock_ms=1795000000000)}
    for level, name in ((guard.SIGN, "sign"), (guard.ENCRYPT, "encrypt")):
        session = guard.Session((0x1122334455660500, level, 0, 1984, 3600, 86400, 300, 0, bytes(16)), bytes(range(32)),
                                bytes(32))
        if level == guard.SIGN:
            out["epoch-0"] = session.to_engine.secret
        out[name] = session.seal(message)
        session.next_epoch()
        if level == guard.SIGN:
            out["epoch-1"] = session.to_engine.secret
        out[name + "-epoch-1"] = session.seal(message)
    return out


def documented():
    page = (pathlib.Path(__file__).resolve().parents[3] / "docs" / "sessions.md").read_text()
    found = {}
    for name, block in re.findall(r"<!-- vector: ([a-z0-9-]+) -->\n```\n(.*?)```", page, re.S):
        found[name] = bytes.fromhex("".join(line[6:] for line in block.splitlines()))
    expect("the page's examples", sorted(found), sorted(example()))
    for name, data in example().items():
        expect("the page's " + name, found[name].hex(), data.hex())


def secret_file(folder, name, secret):
    with open(os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write(secret.hex() + "\n")


def documented_keyring(program):
    """The page's keyring loads as it stands there."""
    page = (pathlib.Path(__file__).resolve().parents[3] / "docs" / "sessions.md").read_text()
    text = re.search(r"```yaml\n(.*?)```", page, re.S)[1]
    with tempfile.TemporaryDirectory() as folder:
        for i, name in enumerate(re.findall(r"_file: ([\w.-]+)", text)):
            secret_file(folder, name, bytes([7, i]) + bytes(30))
        keyring = os.path.join(folder, "keyring.yaml")
        with open(keyring, "w") as f:
            f.write(text)
        run = subprocess.run([program, keyring], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        expect("the page's keyring", (run.returncode, run.stderr), (0, ""))


class Peer:
    def __init__(self, program, folder, backend):
        secret_file(folder, "engine.key", ENGINE)
        secret_file(folder, "client.psk", PSK)
        keyring = os.path.join(folder, "keyring.yaml")
        with open(keyring, "w") as f:
            f.write("engine: {keys: [{secret_file: engine.key}]}\nprincipals:\n"
                    "  - id: 00000000-0000-4000-8000-000000000001\n"
                    f"    keys: [{{public_key: \"{guard.public_of(CLIENT).hex()}\", psk_file: client.psk}}]\n")
        self.process = subprocess.Popen([program, keyring, backend], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.now = 1000

    def ask(self, message, who=1):
        self.process.stdin.write(struct.pack("<IBQ", len(message), who, self.now) + message)
        self.process.stdin.flush()
        length, verdict = struct.unpack("<IB", self.process.stdout.read(5))
        assert length <= len(message), "an answer longer than the question"
        return verdict, self.process.stdout.read(length)

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=60) == 0
        self.process.stdout.close()


def expect(what, got, want):
    if got != want:
        raise AssertionError(f"{what}: {got}, not {want}")


def message(body):
    return guard.HEADER.pack(1, 3, 0, 5, 0, 123, 0, 1, 0, 0, bytes(16), 0, bytes(16)) + body


def opened(peer, level, static=CLIENT, psk=PSK):
    h = guard.Handshake(static, guard.public_of(ENGINE), psk, level)
    verdict, answer = peer.ask(h.knock())
    expect("knock", verdict, COOKIED)
    h.read_cookie(answer)
    verdict, answer = peer.ask(h.hello())
    expect("hello", verdict, WELCOMED)
    return h.read_welcome(answer)


def known_answer():
    """The published vector (of the library cacophony, public domain) holds for the client, too."""
    un = bytes.fromhex
    initiator = guard.Noise(
        True, b"John Galt", un("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1"),
        un("31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62"), b"This is my Austrian perspective!",
        un("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a"))
    first = initiator.write_first(b"Ludwig von Mises")
    expect("the first message ends", first[-16:].hex(), "24144155045c8f36bed85a2cb0fd9af7")
    initiator.read_second(un("95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088432fe8d675e949799d"
                             "2a968211a66cc7ba2b0f4cad8eda3c2bd37eae737bbf88"))
    expect("the transcript", initiator.hash.hex(), "48c3f1eb397c797af6b139032c6074cb41282ff033ee25d5aee4a4badd3a2c3f")


def both_levels(peer, chance):
    for level in (guard.SIGN, guard.ENCRYPT):
        s = opened(peer, level)
        expect("level", s.level, level)
        expect("principal", s.principal.hex(), "00000000000040008000000000000001")
        for _ in range(50):
            body = chance.randbytes(chance.randrange(0, 1373))
            sealed = s.seal(message(body))
            expect("length", len(sealed), 80 + len(body))
            expect("readable", sealed[80:] == body, level == guard.SIGN or not body)
            verdict, answer = peer.ask(sealed)
            expect("sealed", verdict, OK)
            plain = s.open(answer)
            expect("type", plain[1], PONG)
            expect("body", plain[80:], body)
            expect("a repeat", peer.ask(sealed), (REPLAY, b""))
            bent = bytearray(s.seal(message(body + b"x")))
            bent[chance.randrange(32, len(bent))] ^= 1 << chance.randrange(8)
            expect("altered", peer.ask(bytes(bent)), (TAG, b""))
            bent = bytearray(answer)
            bent[chance.randrange(0, len(bent))] ^= 1 << chance.randrange(8)
            try:
                s.open(bytes(bent))
            except guard.InvalidTag:
                continue
            raise AssertionError("the client took an altered answer")


def epochs(peer):
    s = opened(peer, guard.ENCRYPT)
    expect("epoch 0", peer.ask(s.seal(message(b"0123456789abcdef")))[0], OK)
    s.next_epoch()
    expect("too soon", peer.ask(s.seal(message(b"")))[0], EPOCH)
    for _ in range(3):
        peer.now += 10000
        verdict, answer = peer.ask(s.seal(message(b"next")))
        expect("next epoch", verdict, OK)
        expect("its answer", s.open(answer)[80:], b"next")
        s.next_epoch()


def strangers(peer):
    for static, psk in ((OTHER, PSK), (CLIENT, bytes(32))):
        h = guard.Handshake(static, guard.public_of(ENGINE), psk, guard.SIGN)
        h.read_cookie(peer.ask(h.knock())[1])
        verdict, answer = peer.ask(h.hello())
        if static == OTHER:
            expect("a stranger", (verdict, answer), (STRANGER, b""))
        else:  # shows in the answer
            try:
                h.read_welcome(answer)
            except guard.InvalidTag:
                continue
            raise AssertionError("a wrong pre-shared key was taken")
    h = guard.Handshake(CLIENT, guard.public_of(OTHER))
    expect("another engine's key", peer.ask(h.knock()), (KEY, b""))
    h = guard.Handshake(CLIENT, guard.public_of(ENGINE), PSK)
    h.read_cookie(peer.ask(h.knock(), 1)[1])
    expect("a cookie from elsewhere", peer.ask(h.hello(), 2)[0], COOKIED)
    expect("no session", peer.ask(message(b"") + bytes(16))[0], UNKNOWN)


def main():
    seed = int(os.environ.get("PE_TEST_SEED", "1592806409"))
    print(f"seed {seed}")
    chance = random.Random(seed)
    known_answer()
    documented()
    documented_keyring(sys.argv[1])
    for backend in ("best", "openssl"):
        with tempfile.TemporaryDirectory() as folder:
            peer = Peer(sys.argv[1], folder, backend)
            both_levels(peer, chance)
            epochs(peer)
            strangers(peer)
            peer.end()
    print("ok")


if __name__ == "__main__":
    main()
