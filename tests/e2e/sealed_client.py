"""Clients whose messages are sealed, for the end-to-end tests: presence_client and watch_client over presence_guard, and a folder with a
keyring. Shares no code with the engine."""
import os
import pathlib
import socket
import tempfile
import time
import uuid

import presence_client as pc
import presence_guard as pg
import watch_client as wc


class Keys:
    """A keyring file with its secrets. principals: {name: level}, or what `write` is given; the secret keys by name."""

    def __init__(self, names, level="sign", engines=1, psk=False):
        self.folder = tempfile.TemporaryDirectory(prefix="presence-keys-")
        self.path = pathlib.Path(self.folder.name) / "keyring.yaml"
        self.engines = [os.urandom(32) for _ in range(engines)]
        self.secrets = {n: os.urandom(32) for n in names}
        self.ids = {n: uuid.uuid4() for n in names}
        self.psk = os.urandom(32) if psk else bytes(32)
        for i, secret in enumerate(self.engines):
            self.secret_file(f"engine-{i}.key", secret)
        if psk:
            self.secret_file("shared.psk", self.psk)
        self.level = level
        self.write(names)

    def secret_file(self, name, secret):
        path = self.path.parent / name
        path.write_text(secret.hex() + "\n")
        path.chmod(0o600)

    def write(self, names, engines=None, times=None, **levels):
        """times: {name: 'from: …' or 'until: …'}"""
        text = f"engine:\n  level: {self.level}\n" + ("  psk_file: shared.psk\n" if any(self.psk) else "") + "  keys:\n"
        for i in engines if engines is not None else range(len(self.engines)):
            text += f"    - {{secret_file: engine-{i}.key}}\n"
        text += "principals:\n" if names else "principals: []\n"
        for n in names:
            when = f", {times[n]}" if times and n in times else ""
            text += f"  - id: {self.ids[n]}\n    name: {n}\n"
            if n in levels:
                text += f"    level: {levels[n]}\n"
            text += f"    keys: [{{public_key: {pg.public_of(self.secrets[n]).hex()}{when}}}]\n"
            text += "    grants: [{allow: [publish, query, subscribe, admin]}]\n"
        self.path.write_text(text)

    def public(self, engine=0):
        return pg.public_of(self.engines[engine])

    def close(self):
        self.folder.cleanup()


class Sealing:
    """Mixed into a client: what it sends and receives goes through self.session, when there is one. `raw` is as it goes over the wire."""

    session = None

    def connect(self, keys, name, level=pg.SIGN, engine=0, secret=None, psk=None, silence=None):
        """Opens a session; a Timeout where the engine stays silent. silence: seconds after which that is taken for certain once it has all it needs; a
        cookie is for everyone, and is waited for as anything else."""
        handshake = pg.Handshake(secret or keys.secrets[name], keys.public(engine), keys.psk if psk is None else psk, level)
        self.session = None
        self.raw(handshake.knock())
        handshake.read_cookie(self.raw_receive())
        self.raw(handshake.hello())
        self.socket.settimeout(silence or self.timeout)
        try:
            self.session = handshake.read_welcome(self.raw_receive())
        finally:
            self.socket.settimeout(self.timeout)
        self.sequence = 0
        self.seen = set()
        return self.session

    def raw(self, data):
        self.socket.send(data)
        self.sent += 1
        self.sent_bytes += len(data)

    def raw_receive(self):
        try:
            data = self.socket.recv(65535)
        except socket.timeout:
            raise pc.Timeout from None
        self.received += 1
        self.received_bytes += len(data)
        return data

    def sealed(self, data):
        return self.session.seal(data, pc.HEADER.unpack_from(data)[4])

    def send(self, data):
        self.raw(self.sealed(data) if self.session else data)

    def receive(self):
        data = self.raw_receive()
        if self.session:
            data = self.session.open(data)
            sequence = pc.HEADER.unpack_from(data)[4]
            if sequence in self.seen:
                raise ValueError("the engine used a sequence twice")
            self.seen.add(sequence)
        return pc.HEADER.unpack_from(data), data[pc.HEADER.size:]

    def next_epoch(self):
        self.session.next_epoch()

    def move(self, port, address="127.0.0.1"):
        """The same session from another local port, as after a NAT's change of mind."""
        before = self.socket
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((address, port))
        self.socket.settimeout(self.timeout)
        before.close()

    def prove(self, keys, engine=0):
        """Shows that it receives where it is: a cookie, and a sealed PING with it."""
        handshake = pg.Handshake(os.urandom(32), keys.public(engine))
        self.raw(handshake.knock())
        handshake.read_cookie(self.raw_receive())
        self.send(self.message(pc.PING, handshake.cookie))
        return self.receive()[0][1] == pc.PONG

    def disconnect(self):
        self.send(self.message(pg.DISCONNECT, bytes(16)))
        time.sleep(0.05)


class Client(Sealing, pc.Client):
    pass


class Watcher(Sealing, wc.Watcher):
    pass
