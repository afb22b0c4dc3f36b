"""Writes the conversations of docs/users.md.  Run `python -m tests.conversation` after a change of worlds, tasks or words.

A conversation is a block that begins with `$ worlddb chat WORLD TASK --task-profile PROFILE`.  What stands after its prompts is
typed again; everything else is written anew.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from worlddb.cli.chat import Chatter
from worlddb.cli.tasks import find_tasks
from worlddb.episode.play import Episode

PAGE = Path(__file__).parent.parent / "docs" / "users.md"
WIDTH = 118
BLOCK = re.compile(r"(```text\n)(\$ worlddb chat .*?)(```\n)", re.DOTALL)
PROMPT = re.compile(r"^[a-z_]+-\d+ \d{4}-\d\d-\d\d \d\d:\d\d> (.*)$", re.MULTILINE)


def conversation(block: str) -> str:
    """The block as it is today."""
    command = block.splitlines()[0]
    world, task, option, profile = shlex.split(command)[3:]
    assert option == "--task-profile"
    found = find_tasks(world, None, "default", profile, None)
    chatter = Chatter(Episode(found, found.task(task)))
    chatter.width = WIDTH
    shown = [command, *chatter.greeting.splitlines()]
    for typed in PROMPT.findall(block):
        shown.append(f"{chatter.prompt}{typed}")
        shown += chatter.answer(typed).splitlines()
    return "".join(f"{text.rstrip()}\n" for text in shown)


def page(text: str) -> str:
    """The document with the conversations of today in their places."""
    assert BLOCK.search(text), "the page has no conversation"
    return BLOCK.sub(lambda m: f"{m[1]}{conversation(m[2])}{m[3]}", text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
