"""Run the adapters' tests with the real frameworks: `python tests/adapters/run.py NAME… | --all`.

The frameworks exclude one another, so each has a virtual environment, .venvs/NAME, with what tests/adapters/NAME/requirements.txt
lists, pytest, and worlddb itself in editable mode; it is kept as long as what it was made from stays the same.  The tests run
without a network.  Only the standard library is used here, so any Python >= 3.11 can run this file.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
import tomllib
import venv
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OFFLINE = {
    "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1", "RAY_USAGE_STATS_ENABLED": "0", "WANDB_MODE": "disabled", "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false", "INSPECT_DISPLAY": "none", "NO_COLOR": "1",
    "HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "all_proxy": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost",
}  # fmt: skip
"""The switches of the frameworks, and for those without one a proxy that refuses every connection but to this machine."""
TESTERS = ["pytest>=8.3", "hypothesis>=6.100"]
INSTALL_SECONDS, TEST_SECONDS = 1200, 900


class Outcome(NamedTuple):
    """What came of one framework."""

    name: str
    status: str
    """'passed', 'failed', or 'missing' where its packages cannot be installed."""
    install: float
    """Seconds; 0.0 where the environment was there already."""
    test: float
    told: str


def names() -> list[str]:
    """The frameworks that have tests."""
    return sorted(p.parent.name for p in HERE.glob("*/requirements.txt"))


def fingerprint(name: str) -> str:
    """A hash of all that an environment is made from: the requirements, and what installing worlddb and its packages does."""
    listed = (HERE / name / "requirements.txt").read_text()
    folders = [ROOT, *(ROOT / word for word in listed.split() if word.startswith("packages/"))]
    projects = [tomllib.loads((folder / "pyproject.toml").read_text())["project"] for folder in folders]
    projects[0].pop("optional-dependencies", None)
    return hashlib.sha256(repr((sys.version, TESTERS, listed, projects)).encode()).hexdigest()


def environment(name: str, home: Path) -> tuple[Path, float, str]:
    """The Python of a framework's environment, the seconds that making it took, and what pip said where it failed."""
    at = home / name
    python, mark, wanted = at / "bin" / "python", at / "made-from", fingerprint(name)
    if mark.exists() and mark.read_text() == wanted:
        return python, 0.0, ""
    start = time.perf_counter()
    venv.create(at, with_pip=True, clear=True, symlinks=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    listed = ["-r", str(HERE / name / "requirements.txt"), "-e", str(ROOT), *TESTERS]
    try:
        done = subprocess.run([*pip, *listed], cwd=ROOT, stderr=subprocess.PIPE, text=True, timeout=INSTALL_SECONDS)
        wrong = last_line(done.stderr) if done.returncode else ""
    except subprocess.TimeoutExpired:
        wrong = f"pip took more than {INSTALL_SECONDS} s"
    if not wrong:
        mark.write_text(wanted)
    return python, time.perf_counter() - start, wrong


def last_line(text: str) -> str:
    """The last line that says something; pip's errors first."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or [""])[-1]


def run(name: str, home: Path, options: list[str], quiet: bool) -> Outcome:
    """Make one framework's environment and run its tests there."""
    python, install, wrong = environment(name, home)
    if wrong:
        return Outcome(name, "missing", install, 0.0, wrong)
    environ = (
        os.environ | OFFLINE | {"WORLDDB_ADAPTER": name, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    )
    environ.pop("PYTHONPATH", None)
    pytest = [str(python), "-m", "pytest", "-q", "-o", "addopts=-ra --strict-markers", "-p", "no:cacheprovider"]
    start = time.perf_counter()
    try:
        done = subprocess.run(
            [*pytest, *options, str(HERE / name)], cwd=ROOT, env=environ, timeout=TEST_SECONDS, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        code, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        said = late.stdout.decode(errors="replace") if isinstance(late.stdout, bytes) else late.stdout
        code, output = 1, f"{said or ''}\nthe tests took more than {TEST_SECONDS} s"
    if code or not quiet:
        print(output, flush=True)
    return Outcome(name, "failed" if code else "passed", install, time.perf_counter() - start, last_line(output))


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}")
    parser.add_argument("--all", action="store_true", help="every framework")
    parser.add_argument("--allow-missing", action="store_true", help="packages that cannot be installed are no failure")
    parser.add_argument("--home", type=Path, default=ROOT / ".venvs", help="where the environments are kept")
    parser.add_argument("--drop", action="store_true", help="remove each environment after its tests, for small disks")
    parser.add_argument("--quiet", action="store_true", help="show what pytest says only where it fails")
    parser.add_argument("-k", default="", metavar="EXPRESSION", help="only tests whose names match, as in pytest")
    found = parser.parse_args()
    unknown = sorted(set(found.names) - set(names()))
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(names())}")
    if bool(found.names) == found.all:
        parser.error("name frameworks, or say --all")
    return found


def main() -> int:
    """Run what is asked and print a line per framework; 1 where one failed, else 0."""
    asked = arguments()
    outcomes = []
    for name in names() if asked.all else asked.names:
        print(f"== {name}", flush=True)
        outcomes.append(run(name, asked.home, ["-k", asked.k] if asked.k else [], asked.quiet))
        if asked.drop:
            shutil.rmtree(asked.home / name)
    print()
    for o in outcomes:
        print(f"{o.name:14} {o.status:8} install {o.install:6.1f} s   tests {o.test:6.1f} s   {o.told}")
    bad = {"failed"} if asked.allow_missing else {"failed", "missing"}
    return int(any(o.status in bad for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
