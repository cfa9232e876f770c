"""A DPDK port behind a veth pair: an ordinary host on the other end finds it by ARP and neighbour discovery, pings it,
publishes, queries and withdraws over IPv4, IPv6 and a VLAN; its own counts equal the engine's, to the packet. Needs root."""
import itertools
import os
import shutil
import socket
import struct
import subprocess
import time
import unittest

import presence_client as pc
import watch_client as wc
from engine_process import PATIENCE, Engine, eventually, skip

YAML = """
workers: {count: @workers@}
memory: {entities: 2000, socket_mem_mb: 64}
admitted: [192.0.2.0/25, "2001:db8::/64"]
trusted: [192.0.2.2/32, "2001:db8::/64"]
sources:
  - ethdev: {device: "@device@", addresses: [192.0.2.1/24, "2001:db8::1/64"], vlan: @vlan@, queues: @queues@}
"""
SERIAL = itertools.count()


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=PATIENCE)


class Pair:
    """Two namespaces, a veth pair between them, names of our own; all gone at the end."""

    def __init__(self):
        name = f"pe{os.getpid() % 100000}x{next(SERIAL)}"
        self.host, self.engine, self.port, self.near = name + "h", name + "e", name + "p", name + "n"

    def __enter__(self):
        try:
            for namespace in (self.host, self.engine):
                ip("netns", "add", namespace)
            ip("link", "add", self.near, "netns", self.host, "type", "veth", "peer", "name", self.port, "netns",
               self.engine)
            # Nothing but the engine may speak on its end.
            subprocess.run(["ip", "netns", "exec", self.engine, "sysctl", "-qw",
                            f"net.ipv6.conf.{self.port}.disable_ipv6=1"], check=True, timeout=PATIENCE)
            # A veth leaves checksums to a device that is not there.
            subprocess.run(["ip", "netns", "exec", self.host, "ethtool", "-K", self.near, "tx", "off"], check=True,
                           capture_output=True, timeout=PATIENCE)
            ip("-n", self.engine, "link", "set", self.port, "up")
            ip("-n", self.host, "link", "set", "lo", "up")
            ip("-n", self.host, "link", "set", self.near, "up")
            link = self.near
            ip("-n", self.host, "address", "add", "192.0.2.2/24", "dev", link)
            ip("-n", self.host, "address", "add", "192.0.2.3/24", "dev", link)
            ip("-n", self.host, "address", "add", "192.0.2.200/24", "dev", link)
            ip("-n", self.host, "address", "add", "2001:db8::2/64", "dev", link, "nodad")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for namespace in (self.host, self.engine):
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, timeout=PATIENCE, check=False)

    def ping(self, address):
        return subprocess.run(["ip", "netns", "exec", self.host, "ping", "-n", "-c", "3", "-i", "0.2", "-W", "20", address],
                              capture_output=True, text=True, timeout=PATIENCE, check=False)

    def inside(self, call):
        """call() in the host's namespace: a socket that it makes lives there."""
        was = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.host}", os.O_RDONLY)
        try:
            setns(there)
            return call()
        finally:
            setns(was)
            os.close(was)
            os.close(there)

    def client(self, *arguments, **more):
        return self.inside(lambda: pc.Client(*arguments, **more))

    def raw_socket(self):
        def make():
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            s.bind((self.near, 3))
            s.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA: the tag that the kernel took off
            return s
        return self.inside(make)

    def engine_mac(self):
        shown = subprocess.run(["ip", "-n", self.engine, "-o", "link", "show", self.port], check=True, capture_output=True,
                               text=True, timeout=PATIENCE).stdout
        return bytes.fromhex(shown.split("link/ether ")[1][:17].replace(":", ""))


def internet_sum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def tagged_ping(to, source, tag):
    message = pc.HEADER.pack(1, pc.PING, 0, 7, 1, 0, 0, 1, 0, 0, bytes(16), 0, bytes(16)) + bytes(16)
    udp = struct.pack("!HHHH", 40000, 10202, 8 + len(message), 0) + message
    addresses = socket.inet_aton("192.0.2.2") + socket.inet_aton("192.0.2.1")
    check = internet_sum(addresses + struct.pack("!HH", 17, len(udp)) + udp)
    udp = udp[:6] + struct.pack("!H", check) + udp[8:]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0x4000, 64, 17, 0) + addresses
    header = header[:10] + struct.pack("!H", internet_sum(header)) + header[12:]
    ether = to + source + (struct.pack("!HH", 0x8100, tag) if tag is not None else b"") + b"\x08\x00"
    return ether + header + udp


def tagged_pong(s, seconds):
    """The VLAN of the PONG that comes within so long; None: none came."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        s.settimeout(max(0.01, end - time.monotonic()))
        try:
            data, ancillary, _, address = s.recvmsg(2048, 256)
        except socket.timeout:
            return None
        if address[2] == socket.PACKET_OUTGOING:
            continue
        tag = None
        for level, kind, value in ancillary:
            if (level, kind) == (263, 8):
                status, tci = struct.unpack_from("I", value)[0], struct.unpack_from("H", value, 16)[0]
                tag = tci & 0xFFF if status & 0x10 else None
        if data[12:14] == b"\x81\x00":
            tag, data = int.from_bytes(data[14:16], "big") & 0xFFF, data[:12] + data[16:]
        if data[23:24] == b"\x11" and data[42:44] == bytes((1, pc.PONG)):
            return tag if tag is not None else -1
    return None


def setns(fd):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Veth(unittest.TestCase):
    def run_pair(self, device, workers=1, queues=0, body=None):
        with Pair() as pair:
            yaml = YAML
            for name, value in (("device", device.replace("IFACE", pair.port)), ("vlan", 0), ("workers", workers),
                                ("queues", queues)):
                yaml = yaml.replace(f"@{name}@", str(value))
            with Engine(yaml, port=10202, netns=pair.engine) as e:
                for address in ("192.0.2.1", "2001:db8::1"):
                    pinged = pair.ping(address)
                    self.assertIn(" 0% packet loss", pinged.stdout, pinged.stdout + e.log)
                clients = [pair.client("192.0.2.1"), pair.client("2001:db8::1")]
                clients += [pair.client("192.0.2.1", source=("192.0.2.3", 0)) for _ in range(2 if workers == 1 else 14)]
                expected = body(e, pair, clients)
                more_frames = expected.pop("more_frames", 0)
                for c in clients:
                    self.assertTrue(c.ping())
                counters, identity = e.stop()
                self.assertEqual(e.exit, 0, e.log)
                sent = sum(c.sent for c in clients)
                for reason, count in expected.items():
                    self.assertEqual(counters.get(reason, 0), count, reason + "\n" + e.log)
                # Every datagram that we sent was carried on or is in `expected`; besides them there is only link traffic and
                # the host's own multicast.
                carried = sum(counters.get("carried_" + k, 0) for k in ("update", "withdraw", "query", "ping", "state", "explain",
                                                                        "subscribe"))
                refused = sum(n for reason, n in expected.items() if reason.startswith("refused_"))
                self.assertEqual(carried + refused, sent + more_frames, e.log)
                self.assertEqual(counters["rx_packets"], carried + refused + counters["carried_link"] +
                                 counters.get("refused_not_for_us", 0), e.log)
                self.assertEqual(counters["tx_packets"], sum(c.received for c in clients), e.log)
                # 3 pings of each family, and at least one request for each address.
                self.assertGreaterEqual(counters["carried_link"], 8)
                for what in ("packets", "records", "queries"):
                    self.assertEqual(identity[what, "difference"], 0, e.log)
                for c in clients:
                    c.close()
                return counters

    def exchange(self, e, pair, clients):
        four, six, other = clients[:3]
        where = {pc.entity(n): (n * 3.0, 1.0, 2.0) for n in range(96)}
        for i, c in zip(range(0, 96, 16), itertools.cycle(clients)):
            rows = c.updates([pc.update(pc.entity(n), where[pc.entity(n)], 1, 600000) for n in range(i, i + 16)])
            # An untrusted one gets no more than it sent: an acknowledgement is shorter.
            self.assertTrue({r[0] for r in rows} <= {pc.APPLIED, pc.ACCEPTED}, rows)
        sphere = pc.query(pc.SPHERE, (0, 0, 0), (1000, 0, 0))
        for c in (four, six):
            eventually(lambda: len(c.query(sphere)[0]) == 96)
            found, truncated = c.query(sphere)
            self.assertEqual(({i: p for i, (p, _) in found.items()}.keys(), truncated), (where.keys(), False))
        rows = six.withdraw([pc.withdrawal(pc.entity(n), 2) for n in range(16)])
        self.assertTrue({r[0] for r in rows} <= {pc.APPLIED, pc.ACCEPTED}, rows)
        eventually(lambda: len(four.query(sphere)[0]) == 80)
        # An address of the link that the configuration does not admit.
        denied = pair.client("192.0.2.1", source=("192.0.2.200", 0))
        clients.append(denied)
        for _ in range(4):
            denied.send(denied.message(pc.PING, bytes(16)))
        self.assertTrue(denied.silent())
        clients.remove(denied)
        four.sent += denied.sent
        denied.close()
        four.send(b"not a message")
        return {"refused_source_denied": 4, "refused_short_header": 1}

    def fragments(self, e, pair, clients):
        expected = self.exchange(e, pair, clients)
        four, six = clients[:2]
        # 4000 + 8 bytes in a 1500-byte MTU: three fragments.
        four.send(bytes(4000))
        six.send(bytes(4000))
        self.assertTrue(four.silent())
        return expected | {"refused_fragment": 6, "more_frames": 4}

    def standing(self, e, pair, clients):
        """Subscribers on either family: what comes and goes is told to each, unasked, by whichever worker keeps it."""
        watchers = [pair.inside(lambda: wc.Watcher(10202, subscription=n, address=address))
                    for n, address in enumerate(("192.0.2.1", "2001:db8::1", "192.0.2.1", "2001:db8::1"))]
        for w in watchers:
            w.open(wc.sphere(1, (0, 0, 0), 100))
        for step in range(1, 5):
            for i, c in zip(range(0, 96, 16), itertools.cycle(clients)):
                c.updates([pc.update(pc.entity(n), (n * 3.0 + 50 * step, 1.0, 2.0), step, 600000) for n in range(i, i + 16)])
            expected = {pc.entity(n) for n in range(96) if (n * 3.0 + 50 * step) ** 2 + 5 <= 100 ** 2}
            for w in watchers:
                w.until(lambda: w.inside(1) == expected and w.next == w.known)
        for w in watchers:
            self.assertEqual(w.gaps, 0)
            w.request(wc.CLOSE)
            w.until(lambda: w.ended == wc.END_CLOSED, mend=False)
            w.settle()
            w.pump(0.1)
        clients += watchers
        return {"subscriptions_ended": 4}

    def test_af_packet(self):
        self.run_pair("net_af_packet0,iface=IFACE,qdisc_bypass=1", body=self.exchange)

    def test_standing_queries(self):
        for workers, queues, more in ((1, 0, ""), (3, 0, ""), (2, 2, ",qpairs=2")):
            with self.subTest(workers=workers, queues=queues):
                self.run_pair("net_af_packet0,iface=IFACE" + more, workers, queues, self.standing)

    def test_af_packet_fragments_v6(self):
        def body(e, pair, clients):
            expected = self.exchange(e, pair, clients)
            clients[1].send(bytes(4000))
            self.assertTrue(clients[1].silent())
            return expected | {"refused_fragment": 3, "more_frames": 2}

        self.run_pair("net_af_packet0,iface=IFACE,qdisc_bypass=1", body=body)

    # libpcap hands frames up as they are; af_packet would put IPv4 fragments together first.
    def test_pcap_fragments(self):
        self.run_pair("net_pcap0,iface=IFACE", body=self.fragments)

    # The host's end tags and untags frames itself here, so that the kernel needs no VLAN support.
    def test_vlan(self):
        with Pair() as pair:
            yaml = YAML.replace("@device@", f"net_af_packet0,iface={pair.port}").replace("@vlan@", "42")
            yaml = yaml.replace("@workers@", "1").replace("@queues@", "0")
            with Engine(yaml, port=10202, netns=pair.engine) as e, pair.raw_socket() as s:
                mac = pair.engine_mac()
                for tag, answered in ((42, True), (43, False), (None, False)):
                    datagram = tagged_ping(mac, s.getsockname()[4], tag)
                    for _ in range(3):
                        s.send(datagram)
                        self.assertEqual(tagged_pong(s, PATIENCE if answered else 0.5) == 42, answered, e.log)
                counters, identity = e.stop()
                self.assertEqual(counters["carried_ping"], 3, e.log)
                self.assertEqual(counters["tx_packets"], 3)
                self.assertGreaterEqual(counters["refused_not_for_us"], 6)
                self.assertEqual(identity["packets", "difference"], 0)

    # One queue, three workers: worker 0 hands packets on, and sends for the others.
    def test_steering(self):
        counters = self.run_pair("net_af_packet0,iface=IFACE", workers=3, body=self.exchange)
        self.assertGreater(counters["records_forwarded"], 0)
        self.assertNotIn("dropped_steer_full", counters)

    # As many queues as workers: the kernel spreads them (fanout).
    def test_queues(self):
        self.run_pair("net_af_packet0,iface=IFACE,qpairs=2", workers=2, queues=2, body=self.exchange)


if __name__ == "__main__":
    if os.geteuid() != 0:
        skip("test_veth needs root for namespaces and packet sockets")
    for tool in ("ip", "ping", "ethtool"):
        if not shutil.which(tool):
            skip(f"test_veth needs {tool}")
    unittest.main(argv=["test_veth"], verbosity=2)
