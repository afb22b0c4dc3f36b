"""The formats of attempts: a table.  A new one is a function from an Example to a row, and an entry here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from worlddb.errors import UnknownName
from worlddb.export import bfcl, chats, prompts
from worlddb.export.examples import Example, Row


class Part(NamedTuple):
    """One of the files of a format."""

    row: Callable[[Example], Row | None]
    """The row of an example; None where it has no place in this file."""
    name: str = ""
    """Stands in the name of the file; '' for the only one."""
    columns: Mapping[str, str] = MappingProxyType({})
    """Column -> its type as DuckDB calls it; empty: there are no Parquet files of this format."""


class Format(NamedTuple):
    """How attempts are written."""

    parts: tuple[Part, ...]
    ending: str = ".jsonl"
    """Of the file, where the caller does not say: .jsonl (an object a line), .json (an array), .parquet."""
    beside: tuple[str, Callable[[str], Row]] | None = None
    """A file to stand beside each file of rows: what its name begins with, and what makes its content of the file's name."""


def _one(row: Callable[[Example], Row | None], columns: Mapping[str, str] = MappingProxyType({})) -> tuple[Part, ...]:
    return (Part(row, columns=columns),)


FORMATS: dict[str, Format] = {
    "trl": Format(_one(chats.trl, chats.TRL)),
    "trl-completion": Format(_one(chats.trl_completion, chats.TRL_COMPLETION)),
    "openai": Format(_one(chats.openai)),
    "sharegpt": Format(_one(chats.sharegpt), ".json", ("dataset_info", chats.llamafactory_info)),
    "actionstudio": Format(_one(chats.actionstudio), ".json"),
    "bfcl": Format((
        Part(bfcl.question, "multiple"), Part(bfcl.accepted, "multiple_answers"),
        Part(bfcl.turns, "multi_turn"), Part(bfcl.turns_accepted, "multi_turn_answers"),
    )),
    "verl": Format(_one(prompts.verl, prompts.VERL), ".parquet"),
    "skyrl": Format(_one(prompts.skyrl, prompts.SKYRL), ".parquet"),
    "nemo": Format(_one(prompts.nemo)),
}  # fmt: skip


def format_named(name: str) -> Format:
    """A format.

    Raises:
        UnknownName: there is none of that name.
    """
    if name not in FORMATS:
        raise UnknownName("format", name, FORMATS)
    return FORMATS[name]
