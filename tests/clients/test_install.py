#!/usr/bin/env python3
"""What is installed is enough: the blocks of docs/integrate.md that are marked `test`, the examples and the manual pages, out of a fresh
installation in a folder of its own, in a plain environment; where namespaces are allowed, with the project's own folder hidden.

    tests/clients/test_install.py PRESENCED BUILD SOURCE
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import engine_process  # noqa: E402

BUILD, SOURCE = map(pathlib.Path, sys.argv[2:4])
YAML = """
workers: {count: 1}
memory: {entities: 5000, socket_mem_mb: 32}
sources:
  - socket: {port: {port}}
"""


def blocks(page):
    """(language, file, text) of the fenced blocks whose first line says `test`."""
    return re.findall(r"^```(\w+) test ?(\S*)\n(.*?)^```$", page, re.M | re.S)


class Installation:
    def __init__(self, folder):
        self.root, self.work = folder / "root", folder / "work"
        self.work.mkdir()
        run = subprocess.run(["meson", "install", "-C", str(BUILD), "--no-rebuild", "--destdir", str(self.root)], capture_output=True, text=True,
                             timeout=300)
        assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
        self.libraries = next(self.root.rglob("libpresence.pc")).parent.parent
        self.prefix = next(self.root.rglob("presence/presence.h")).parent.parent.parent
        # Neither the caller's paths nor compiler flags.
        self.environment = {
            "PATH": f"{self.prefix}/bin:/usr/bin:/bin", "HOME": str(self.work), "LC_ALL": "C.UTF-8", "LD_LIBRARY_PATH": str(self.libraries),
            "PKG_CONFIG_LIBDIR": str(self.libraries / "pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": str(self.root),
        }
        self.hide = []
        hide = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(SOURCE)]
        for words in (hide, [hide[0], "--map-root-user", *hide[1:]]):
            if subprocess.run([*words, "sh", "-c", f"! test -e {SOURCE}/meson.build"], capture_output=True).returncode == 0:
                self.hide = words
                break

    def sh(self, script, expect=0, **environment):
        run = subprocess.run([*self.hide, "sh", "-euc", script], cwd=self.work, env={**self.environment, **environment}, capture_output=True,
                             text=True, timeout=300)
        assert run.returncode == expect, (script, run.returncode, run.stdout, run.stderr)
        return run.stdout + run.stderr


def exported(place):
    out = subprocess.run(["nm", "-D", "--defined-only", next(place.libraries.glob("libpresence.so.0.*"))], capture_output=True, text=True,
                         check=True).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines() if line.split()[1] == "T"}


def declared(place):
    names = set()
    for header in (place.prefix / "include/presence").glob("*.h"):
        text = re.sub(r"//[^\n]*", "", header.read_text())
        names |= set(re.findall(r"\b(presence_\w+)\(", text))
    return names


with tempfile.TemporaryDirectory(prefix="presence-install-") as name:
    place = Installation(pathlib.Path(name))
    print("SKIP project folder is hidden: no mount namespace may be made here" if not place.hide else "ok project folder is hidden")

    assert exported(place) == declared(place) and len(declared(place)) > 60, exported(place) ^ declared(place)
    print("ok what is exported is what the headers declare")

    # A word of the C library's own in each of them.
    sizes = subprocess.run(["size", "-A", next(place.libraries.glob("libpresence.so.0.*"))], capture_output=True, text=True, check=True).stdout
    kept = {m[1]: int(m[2]) for m in re.finditer(r"^\.(data|bss) +(\d+)", sizes, re.M)}
    assert kept.get("data", 0) <= 8 and kept.get("bss", 0) <= 8, sizes
    print("ok nothing global that changes")

    engine_process.BINARY = str(place.prefix / "bin/presenced")
    with engine_process.Engine(YAML) as engine:
        said = []
        for language, file, text in blocks((SOURCE / "docs/integrate.md").read_text()):
            if language == "sh":
                said.append(place.sh(text, PORT=str(engine.port)))
            else:
                (place.work / file).write_text(text)
        assert any(re.search(r"^APPLIED; 1 here\n\d+\.\d m away$", s, re.M) for s in said), said
        assert not any("warning" in s for s in said), said
        print("ok docs/integrate.md")
        told = place.sh("presencectl -p $PORT query sphere 10,20,0 5", PORT=str(engine.port))
        assert "70656f70-6c65-0000-0000-00000000002a" in told, told
        print("ok presencectl")
        engine.stop()
    told = place.sh("./meet udp://127.0.0.1:$PORT", expect=1, PORT=str(engine.port))
    assert "nobody listens there; start presenced" in told, told
    print("ok without an engine")

    for path in sorted((SOURCE / "client/examples").glob("*.c")):
        shutil.copy(path, place.work)
        flags = "-std=c17 -Wall -Wextra -Wpedantic -Werror"
        place.sh(f"cc {flags} -o {path.stem} {path.name} $(pkg-config --cflags --libs libpresence)")
        place.sh(f"cc -o {path.stem}-static {path.name} -Wl,-Bstatic $(pkg-config --cflags --static --libs libpresence) -Wl,-Bdynamic")
        assert "libpresence" not in place.sh(f"ldd ./{path.stem}-static"), path
    print("ok examples, dynamic and static")

    # Each header by itself, in C and in C++.
    for header in sorted((place.prefix / "include/presence").glob("*.h")):
        for compiler in ("cc -x c -std=c11", "c++ -x c++ -std=c++17"):
            place.sh(f"echo '#include <presence/{header.name}>' | {compiler} -Wall -Wextra -Wpedantic -Werror -fsyntax-only $(pkg-config --cflags libpresence) -")
    print("ok headers in C and C++")

    # What messages, pages and the unit send their readers to.
    shared = place.prefix / "share/doc/presenced"
    unit = (shared / "configs/presenced.service").read_text()
    for page in re.findall(r"^Documentation=file:///usr/local/share/doc/presenced/(.*)$", unit, re.M):
        assert (shared / page).is_file(), page
    assert {"protocol.md", "sessions.md", "operations.md"} <= {page.name for page in shared.iterdir()} and not (shared / "man").exists()
    assert ": ok" in place.sh(f"presenced --config {shared}/configs/reference.yaml --check-config")
    print("ok documents and configurations")

    pages = {page.name for page in place.root.rglob("man/man*/*")}
    if not shutil.which("scdoc"):
        print("SKIP manual pages: scdoc is not installed")
    else:
        assert pages == {"presenced.8", "presencectl.1", "presence-load.1", "libpresence.3"}, pages
        print("ok manual pages")
