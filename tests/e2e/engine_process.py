"""Starts presenced for a test, reads its log, ends it. Everything is bounded in time, by far more than a busy machine takes."""
import contextlib
import itertools
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

SKIP = 77
SERIAL = itertools.count()
BINARY = os.environ.get("PRESENCED") or (sys.argv[1] if len(sys.argv) > 1 else "")


def skip(why):
    print(f"SKIPPED: {why}")
    sys.exit(SKIP)


def free_port():
    """Below the ports that the system gives to whoever asks for any, lest one of these is taken before an engine has it; two tests at once look
    at different ones."""
    while True:
        port = 10240 + (os.getpid() * 97 + next(SERIAL)) % 20000
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", port))
            return port


PATIENCE = 60.0  # s
# Once something did not come it is waited for no longer than this: a test that fails throughout has to end in time to say why.
IMPATIENCE = 20.0
impatient = False


def patience(seconds=PATIENCE):
    return min(seconds, IMPATIENCE) if impatient else seconds


def gave_up():
    global impatient
    impatient = True


def eventually(what, why="", seconds=PATIENCE):
    """What what() gives, once that is true. By turns and not by the clock: the machine may stand still. why: said if it never is, or called for it."""
    for _ in range(round(patience(seconds) / 0.01)):
        told = what()
        if told:
            return told
        time.sleep(0.01)
    gave_up()
    raise AssertionError(f"not within {seconds} s: {why() if callable(why) else why}")


def run(*arguments, timeout=PATIENCE, **more):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=timeout, **more)


class Engine:
    """with Engine(yaml) as e: … e.stop() … e.log. The text may use {port}."""

    def __init__(self, yaml, port=None, netns=None, user=None, arguments=()):
        self.port = port or free_port()
        self.folder = tempfile.TemporaryDirectory(prefix="presence-e2e-")
        path = pathlib.Path(self.folder.name)
        path.chmod(0o755)
        self.config = path / "presenced.yaml"
        self.config.write_text(yaml.replace("{port}", str(self.port)))
        command = [BINARY, "--config", str(self.config), *arguments]
        if netns:
            command = ["ip", "netns", "exec", netns, *command]
        environment = dict(os.environ)
        if user is not None:
            environment.pop("XDG_RUNTIME_DIR", None)
        self.lines, self.exit = [], None
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, user=user,
                                        group=user, extra_groups=[] if user is not None else None, env=environment)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    @property
    def log(self):
        return "\n".join(self.lines)

    def unread(self):
        """Bytes in the queues of its UDP sockets that it has not taken yet, and datagrams that they had no room for."""
        held = dropped = 0
        for name in ("udp", "udp6"):
            for line in pathlib.Path(f"/proc/{self.process.pid}/net/{name}").read_text().splitlines()[1:]:
                words = line.split()
                if int(words[1].rsplit(":", 1)[1], 16) == self.port:
                    held += int(words[4].split(":")[1], 16)
                    dropped += int(words[-1])
        return held, dropped

    def wait_line(self, pattern, seconds=PATIENCE):
        end = time.monotonic() + patience(seconds)
        while time.monotonic() < end:
            for line in list(self.lines):
                found = re.search(pattern, line)
                if found:
                    return found
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        gave_up()
        raise AssertionError(f"no line {pattern!r} in:\n{self.log}")

    def __enter__(self):
        try:
            self.wait_line(r"presenced: ready: ")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=PATIENCE)
        self.reader.join(timeout=PATIENCE)
        self.process.stderr.close()
        self.folder.cleanup()

    def stop(self, seconds=PATIENCE, by=signal.SIGTERM):
        """A signal; the final counters by name and the identities' numbers by (what, name)."""
        self.process.send_signal(by)
        self.exit = self.process.wait(timeout=seconds)
        self.reader.join(timeout=PATIENCE)
        counters = {m[1]: int(m[2]) for m in re.finditer(r"presenced: counter (\w+) (\d+)", self.log)}
        identity = {}
        for m in re.finditer(r"presenced: (packets|records|queries|subscribes) (.*)", self.log):
            for name, value in re.findall(r"(\w+) (-?\d+)", m[2]):
                identity[m[1], name] = int(value)
        return counters, identity
