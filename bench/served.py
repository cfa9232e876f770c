"""Programs that measure on demand, and the huge pages that they take.

Every program of bench/ can be started once, say {"ready": ...} when it is set up, and then measure a window for each line it is
given. Between its windows it is stopped (SIGSTOP), so that any number of them take turns on the same cores: a slow
spell of the machine meets all of them, and nothing is set up twice.
"""
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import time

POOL = pathlib.Path("/proc/sys/vm/nr_hugepages")
PAGE = 2 << 20


class Failed(Exception):
    pass


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Served:
    def __init__(self, command, ready_s=120):
        self.name = pathlib.Path(command[0]).name
        self.errors = tempfile.TemporaryFile()
        self.buffer = b""
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors)
        os.set_blocking(self.process.stdout.fileno(), False)
        try:
            self.ready = self._line(ready_s)["ready"]
        except (Failed, KeyError):
            self.close()
            raise
        self.process.send_signal(signal.SIGSTOP)

    def _line(self, limit_s):
        end = time.monotonic() + limit_s
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], max(left, 0))[0]:
                raise Failed(f"{self.name}: no answer within {limit_s:.0f} s; {self._words()}")
            part = self.process.stdout.read(65536)
            if not part:
                raise Failed(f"{self.name}: ended; {self._words()}")
            self.buffer += part
        line, self.buffer = self.buffer.split(b"\n", 1)
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(f"{self.name}: {answer['error']}")
        return answer

    def _words(self):
        self.errors.seek(0)
        return self.errors.read()[-600:].decode(errors="replace").strip()

    def ask(self, line, limit_s=60):
        return ask_together((self, line), limit_s=limit_s)[0]

    def _begin(self, line):
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failed(f"{self.name}: ended; {self._words()}") from None

    def _stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)

    def close(self):
        """Lets it end by itself (its counters are checked then); the exit code. Once more does nothing."""
        if self.process.stdout.closed:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            code = self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        if code:
            say(f"{self.name} ended with {code}: {self._words()}")
        self.errors.close()
        return code


def ask_together(*asked, limit_s=60):
    """One line each to several programs, which measure at the same time; their answers, in that order."""
    try:
        for served, line in asked:
            served._begin(line)
        return [served._line(limit_s) for served, _ in asked]
    finally:
        for served, _ in asked:
            served._stop()


class HugePages:
    """Reserves pages as they are needed, and puts the number back that was there."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.before = None

    def __enter__(self):
        return self

    @staticmethod
    def free():
        for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("HugePages_Free:"):
                return int(line.split()[1])
        return 0

    def ensure(self, count_bytes):
        """True: so much can be had now."""
        pages = int(count_bytes / PAGE) + 8
        if not self.wanted:
            return False
        free = self.free()
        if free >= pages:
            return True
        now = int(POOL.read_text())
        if self.before is None:
            self.before = now
        try:
            POOL.write_text(str(now + pages - free))
        except OSError as error:
            say(f"huge pages: not allowed to reserve any ({error.strerror}); ordinary pages it is")
            self.wanted = False
            return False
        say(f"huge pages: vm.nr_hugepages was {now}, now {POOL.read_text().strip()}")
        if self.free() >= pages:
            return True
        say("huge pages: too few could be had; ordinary pages it is")
        return False

    def __exit__(self, *_):
        if self.before is not None:
            POOL.write_text(str(self.before))
            say(f"huge pages: vm.nr_hugepages is {POOL.read_text().strip()} again")
