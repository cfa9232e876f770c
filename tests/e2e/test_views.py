"""Policies that name principals, from the configuration to answers: who is allowed finds what is restricted, whoever else does not, and a
configuration that names who is not in the keyring is refused. Test and engine share no code."""
import signal
import sys
import unittest

import presence_client as pc
import sealed_client as sc
from engine_process import Engine, eventually, run

RESTRICTED = 2 << 3
YAML = """
memory: {entities: 5000, socket_mem_mb: 32}
sources:
  - socket: {address: 127.0.0.1, port: {port}}
security: {keyring: {keyring}, sessions: 64, connects_per_second: 200, connects_burst: 200}
views:
  policies:
    - {name: friends, visibility: [restricted], allow: [{allow}], deny: [{deny}]}
"""


def yaml(keys, allow, deny):
    return YAML.replace("{keyring}", str(keys.path)).replace("{allow}", allow).replace("{deny}", deny)


class Views(unittest.TestCase):
    def setUp(self):
        self.keys = sc.Keys(["ferries", "drones", "gulls"])

    def tearDown(self):
        self.keys.close()

    def check(self, allow, deny):
        path = self.keys.path.parent / "presenced.yaml"
        path.write_text(yaml(self.keys, allow, deny).replace("{port}", "10202"))
        return run("--config", str(path), "--check-config")

    def test_who_is_allowed(self):
        with Engine(yaml(self.keys, "ferries, gulls", "gulls")) as e:
            clients = {n: sc.Client("127.0.0.1", e.port) for n in ("ferries", "drones", "gulls", "nobody")}
            for n, c in clients.items():
                if n != "nobody":
                    c.connect(self.keys, n)
            row = clients["drones"].updates([pc.update(pc.entity(1), (5.0, 5.0, 0.0), 1, 600000, state=RESTRICTED),
                                           pc.update(pc.entity(2), (6.0, 5.0, 0.0), 1, 600000)])
            self.assertTrue(all(r[0] in (pc.APPLIED, pc.ACCEPTED) for r in row), row)
            box = pc.query(pc.BOX, (0.0, 0.0, -1.0), (10.0, 10.0, 1.0))
            eventually(lambda: clients["ferries"].query(box)[0].keys() == {pc.entity(1), pc.entity(2)})
            for n, c in clients.items():
                found, _ = c.query(box)
                self.assertEqual(sorted(found), sorted([pc.entity(2)] + [pc.entity(1)] * (n == "ferries")), n)
            _, identity = e.stop()
            self.assertEqual(e.exit, 0, e.log)
            for what in ("packets", "records", "queries"):
                self.assertEqual(identity[what, "difference"], 0, e.log)

    def test_who_joins(self):
        keys = self.keys.path
        whole = keys.read_text()
        keys.write_text(whole.replace("name: gulls", "name: terns"))
        config = yaml(self.keys, "gulls", "drones").replace("allow: [gulls]", "allow: [gulls], allow_roles: [nurse]")
        with Engine(config) as e:
            clients = {n: sc.Client("127.0.0.1", e.port) for n in ("ferries", "drones", "gulls")}
            for n, c in clients.items():
                c.connect(self.keys, n)
            clients["drones"].updates([pc.update(pc.entity(1), (5.0, 5.0, 0.0), 1, 600000, state=RESTRICTED)])

            def seen():
                return {n for n, c in clients.items() if c.query(pc.query(pc.BOX, (0.0, 0.0, -1.0), (10.0, 10.0, 1.0)))[0]}

            def reload(text, wanted):
                keys.write_text(text)
                e.process.send_signal(signal.SIGHUP)
                eventually(lambda: seen() == wanted, lambda: (seen(), wanted))
            self.assertEqual(seen(), set())
            reload(whole, {"gulls"})
            reload(whole.replace("name: ferries\n", "name: ferries\n    roles: [nurse]\n"), {"gulls", "ferries"})
            # Who is kept out is so by any name.
            reload(whole.replace("name: drones\n", "name: doves\n    roles: [nurse]\n"), {"gulls"})
            reload(whole.replace("name: gulls", "name: terns"), set())
            e.stop()
            self.assertEqual(e.exit, 0, e.log)
            self.assertIn('there is no principal "gulls" yet', e.log)

    def test_check_config(self):
        self.assertEqual(self.check("ferries", "gulls").returncode, 0)
        # Who isn't there yet is let in when he comes; a name to be kept out is a mistake.
        out = self.check("ferries, crows", "")
        self.assertEqual(out.returncode, 0, out)
        self.assertIn('views.policies[0].allow: there is no principal "crows" yet', out.stderr)
        out = self.check("ferries", "crows")
        self.assertEqual(out.returncode, 78, out)
        self.assertIn('views.policies[0].deny: there is no principal "crows"', out.stderr)
        # Two of one name: neither is meant.
        self.keys.path.write_text(self.keys.path.read_text().replace("name: gulls", "name: drones"))
        self.assertEqual(self.check("ferries", "").returncode, 0)
        self.assertIn('there is no principal "drones", or there are several', self.check("drones", "").stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
