"""What a start and a run find around them that is not as it usually is: standard descriptors that are closed, a log that may not grow."""
import os
import resource
import signal
import subprocess
import tempfile
import time
import unittest

import presence_client as pc
from engine_process import BINARY, PATIENCE, eventually, free_port

YAML = """
memory: {entities: 2000, socket_mem_mb: 32}
telemetry: true
sources:
  - socket: {address: 127.0.0.1, port: @port@}
"""


class Lifecycle(unittest.TestCase):
    def setUp(self):
        self.port = free_port()
        self.config = tempfile.NamedTemporaryFile("w", suffix=".yaml")
        self.config.write(YAML.replace("@port@", str(self.port)))
        self.config.flush()
        self.process = None

    def tearDown(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=PATIENCE)
        self.config.close()

    def start(self, **more):
        self.process = subprocess.Popen([BINARY, "--config", self.config.name], **more)

    def served(self):
        """A ping that is answered: there may be no log that says when it is ready."""
        if self.process.poll() is not None:
            self.fail(f"it ended with {self.process.returncode}")
        c = pc.Client("127.0.0.1", self.port)
        try:
            c.socket.settimeout(0.5)
            return c.ping()
        except OSError:
            return False
        finally:
            c.close()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(timeout=PATIENCE), 0)

    # What is opened next would have their numbers, and the log and the counters would be sent into it.
    def test_closed_descriptors(self):
        for closed in ((2,), (1, 2), (0, 1, 2), (0,)):
            with self.subTest(closed=closed):
                self.start(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           preexec_fn=lambda closed=closed: [os.close(fd) for fd in closed])
                eventually(self.served)
                for fd in range(3):
                    self.assertEqual(os.readlink(f"/proc/{self.process.pid}/fd/{fd}"), "/dev/null")
                self.process.send_signal(signal.SIGUSR1)
                self.assertTrue(self.served())
                self.end()

    # A log that has grown to the limit of files is cut off there; the service is not.
    def test_log_at_its_limit(self):
        with tempfile.TemporaryFile() as log:
            self.start(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
            eventually(self.served)
            size = os.fstat(log.fileno()).st_size
            self.assertGreater(size, 0)
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size + 10, size + 10))
            for _ in range(3):
                self.process.send_signal(signal.SIGUSR1)
                time.sleep(0.05)
                self.assertTrue(self.served())
            eventually(lambda: os.fstat(log.fileno()).st_size == size + 10)
            self.end()


if __name__ == "__main__":
    unittest.main(argv=["test_lifecycle"], verbosity=2)
