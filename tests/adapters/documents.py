"""What the documents say about a framework, to be run beside it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def section(heading: str) -> str:
    """The text under a heading of the pages about training."""
    pages = [page.read_text() for page in sorted((ROOT / "docs").glob("training*.md"))]
    found = [part for page in pages for part in page.split("\n## ")[1:] if part.partition("\n")[0] == heading]
    assert len(found) == 1, f"{len(found)} sections '{heading}'"
    return found[0]


def code(heading: str) -> str:
    """The only block of Python under a heading."""
    (found,) = re.findall(r"```python\n(.*?)```", section(heading), flags=re.S)
    return str(found)


def commands(heading: str) -> list[list[str]]:
    """The words of each command under a heading."""
    blocks = re.findall(r"```sh\n(.*?)```", section(heading), flags=re.S)
    return [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
