"""`python -m tests.mcp_matrix [FOLDER]`: every server version against every client version, over HTTP and stdio.

Each version of the SDK gets a virtual environment in FOLDER (kept, so that a second run is quick) with worlddb in it.  A pair
passes when its client got byte for byte what the same calls give in process.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import worlddb
from tests.mcp_matrix.calls import mixed
from worlddb.world.model import World

ROOT = Path(worlddb.__file__).parent.parent
VERSIONS = ("==1.28.0", "==1.30.0", "==2.0.0", "==2.3.0")
"""The oldest that worlddb allows, the last 1.x, the first 2.x, and the newest that it was tried with."""
CALLS = 24


class Sdk(NamedTuple):
    """An installed version of the SDK."""

    version: str
    python: str


class Pair(NamedTuple):
    """What came of one client and one server."""

    wrong: str
    protocol: str = ""
    p50: float = 0.0


def install(home: Path, wanted: str) -> Sdk | None:
    """A virtual environment with worlddb and a version of the SDK; None where pip cannot get it."""
    at = home / re.sub(r"\W+", "_", wanted)
    python = at / "bin" / "python"
    if not (at / "done").exists():
        venv.create(at, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, "-e", str(ROOT), f"mcp{wanted}"]).returncode:
            print(f"mcp{wanted} cannot be installed here: left out", flush=True)
            return None
        (at / "done").touch()
    ask = "from importlib.metadata import version; print(version('mcp'))"
    told = subprocess.run([str(python), "-c", ask], check=True, capture_output=True, text=True)
    return Sdk(told.stdout.strip(), str(python))


def serve(sdk: Sdk, store: Path, *options: str) -> list[str]:
    """The command of a server."""
    return [sdk.python, "-m", "worlddb.cli", "serve", str(store), *options]


@contextmanager
def serving(sdk: Sdk, store: Path) -> Iterator[str]:
    """The URL of a running server."""
    with subprocess.Popen(
        serve(sdk, store, "--mcp", "http", "--port", "0"), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        try:
            yield re.findall(r"http://[^/]+", line)[0]
        finally:
            process.send_signal(signal.SIGINT)


def judge(client: Sdk, target: str, world: World, calls: list[tuple[str, Any]]) -> Pair:
    """Let a client play the calls, and compare."""
    command = [client.python, str(Path(__file__).with_name("client.py")), target, json.dumps(calls)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        return Pair(f"the client failed: {' '.join(done.stderr.split()[-30:])}")
    found = json.loads(done.stdout)
    toolset = world.toolset()
    session = world.session(toolset)
    own = [session.call(name, arguments) for name, arguments in calls]
    wanted = {
        "tools": [[t.name, t.parameters, t.returns, t.read_only] for t in toolset],
        "results": [[not r.ok, r.text, r.data if r.ok else None] for r in own],
    }
    for what, value in json.loads(json.dumps(wanted)).items():
        if found[what] != value:
            return Pair(f"{what} differ")
    if set(found["texts"]) != {"worlddb://handbook", "worlddb://schema"} or "no resource" not in found["refused"]:
        return Pair("resources differ")
    return Pair("", found["protocol"], found["p50"])


def main(home: Path) -> int:
    """Run all pairs and print the table; the number of pairs that failed."""
    home.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sdks = [sdk for sdk in pool.map(lambda v: install(home, v), VERSIONS) if sdk]
        if len({sdk.version[0] for sdk in sdks}) < 2:
            print("a 1.x and a 2.x are needed: see what pip said above")
            return 1
        store = home / "store"
        if not store.exists():
            worlddb.spawn(store, 1, profile="tiny", workers=1)
        world = worlddb.open_store(store)[0]
        calls = [(c.name, c.arguments) for c in mixed(world, world.toolset(), Random(1), CALLS)]
        print(f"{len(calls)} calls in {world.id}\n{'server':>8} {'client':>8}  transport  protocol     p50 ms  outcome")
        failed = 0
        for server in sdks:
            with serving(server, store) as url:
                jobs = []
                for client in sdks:
                    address = f"{url}/worlds/{world.id}/episodes/{client.version}/mcp"
                    for kind, target in (
                        ("http", address),
                        ("stdio", json.dumps(serve(server, store, "--mcp", "stdio"))),
                    ):
                        jobs.append((client, kind, pool.submit(judge, client, target, world, calls)))
                for client, kind, job in jobs:
                    pair = job.result()
                    failed += bool(pair.wrong)
                    told = f"{pair.protocol:11} {pair.p50:7.2f}  {pair.wrong or 'ok'}"
                    print(f"{server.version:>8} {client.version:>8}  {kind:9}  {told}", flush=True)
    print(f"{failed} pairs failed" if failed else "all pairs agree")
    return failed


if __name__ == "__main__":
    sys.exit(1 if main(Path(sys.argv[1] if len(sys.argv) > 1 else "data/mcp-matrix")) else 0)
