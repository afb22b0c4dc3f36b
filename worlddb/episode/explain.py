"""Why an episode failed: a line for each difference, and the earliest ring in which it failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from worlddb.episode.behaviour import key_text, tool_of
from worlddb.episode.compare import Difference
from worlddb.episode.match import Made
from worlddb.episode.matchers import expected, shown
from worlddb.episode.verdict import RINGS, Line
from worlddb.schema.model import Schema
from worlddb.tasks.forms import SILENT, Form, forms_of
from worlddb.tasks.goal import Clock, Insert, Key
from worlddb.tools.session import Entry
from worlddb.tools.toolset import Toolset
from worlddb.world.diff import Change

LINES = 40
"""Differences that are told one by one."""
COLUMNS = 8
"""Columns of a row that a line shows."""
_MALFORMED = ("INVALID_ARGUMENT", "UNKNOWN_TOOL", "SQL_ERROR", "SQL_NOT_ALLOWED", "SQL_TOO_LARGE")
"""Errors of a call that was made in the wrong form, as against one that the business refused."""


class Steps:
    """Which call of the journal changed which row."""

    def __init__(self, journal: Sequence[Entry]) -> None:
        self._last: dict[tuple[str, Key], int] = {}
        self._removed: dict[str, int] = {}
        for entry in journal:
            for change in entry.changes:
                self._last[change.table, change.key] = entry.number
                if change.after is None:
                    self._removed[change.table] = entry.number

    def of(self, table: str, key: Key) -> int:
        """The last call that changed a row, or, of a new row that is not there, that removed one; 0: none did."""
        return self._last.get((table, key), 0) if key else self._removed.get(table, 0)


def lines_of(schema: Schema, differences: Sequence[Difference], steps: Steps) -> Iterator[Line]:
    """The differences in words."""
    forms = forms_of(schema)
    for one in differences[:LINES]:
        yield _line(forms[one.table], one, steps.of(one.table, one.key))
    if (more := len(differences) - LINES) > 0:
        last = differences[LINES]
        yield Line(kind=last.kind, text=f"and {more} more differences", table=last.table)


def _line(form: Form, one: Difference, step: int) -> Line:
    text = _whole(form, one) if one.column < 0 else _column(form, one)
    column = form.columns[one.column] if one.column >= 0 else ""
    return Line(kind=one.kind, text=text, table=one.table, key=one.key, column=column, step=step)


def _column(form: Form, one: Difference) -> str:
    place = f"{form.table.name} {key_text(one.key)}.{form.names[one.column]}"
    found = shown(one.row[one.column]) if one.row is not None else ""
    if one.kind == "EXTRA":
        return f"{place} was changed to {found}"
    assert one.matcher is not None
    if one.kind == "MISSING":
        return f"{place} should become {expected(one.matcher)}"
    return f"{place} is {found}, and should be {expected(one.matcher)}"


def _whole(form: Form, one: Difference) -> str:
    name = form.table.name
    if one.pool is not None:
        some = ", ".join(key_text(k) for k in one.pool.keys[:10]) + (" …" if len(one.pool.keys) > 10 else "")
        deed = "be removed" if one.pool.values is None else f"change ({_values(form, one.pool.values)})"
        return f"{name}: {one.pool.count} of {some} should {deed}"
    if one.op == "delete":
        return f"{name} {key_text(one.key)} {'should be removed' if one.kind == 'MISSING' else 'was removed'}"
    if one.insert is not None:
        return f"{name}: a new row with {_insert(form, one.insert)}"
    assert one.row is not None
    loud = [
        (n, v) for n, v, c in zip(form.names, one.row, form.classes, strict=True) if c not in SILENT and v is not None
    ]
    told = ", ".join(f"{n} {shown(v)}" for n, v in loud[:COLUMNS])
    return f"{name} {key_text(one.key)} was added ({told})"


def _values(form: Form, values: Mapping[str, object]) -> str:
    return ", ".join(f"{form.names[form.places[c]]} {expected(m)}" for c, m in list(values.items())[:COLUMNS])  # type: ignore[arg-type]


def _insert(form: Form, insert: Insert) -> str:
    loud = {
        c: m
        for c, m in insert.values.items()
        if form.classes[form.places[c]] not in SILENT and not isinstance(m, Clock) and expected(m) != "NULL"
    }
    return _values(form, loud) or "anything"


def notes_of(schema: Schema, passed: Sequence[tuple[Change, tuple[int, ...]]], steps: Steps) -> Iterator[Line]:
    """What changed and is not judged."""
    forms = forms_of(schema)
    for change, columns in passed[:LINES]:
        form = forms[change.table]
        what = f".{', '.join(form.names[at] for at in columns)}" if columns else ""
        text = f"{form.table.name} {key_text(change.key)}{what} changed, which is not judged"
        step = steps.of(change.table, change.key)
        yield Line(kind="NOTE", text=text, table=change.table, key=change.key, step=step)


# --- rings


def ring_of(
    lines: Sequence[Line], made: Made, journal: Sequence[Entry] | None, tools: Toolset | None, *, acts: bool
) -> tuple[str, int]:
    """The earliest ring in which an episode failed, and the number of the entry that caused it.

    `acts`: the goal takes a change.  Without a journal the rings before 'wrong target' cannot be told.
    """
    found = [pair for line in lines if (pair := _ring(line, lines)) is not None]
    if acts and journal is not None and made.nothing and any(line.kind == "MISSING" for line in lines):
        found.append(_idle(journal, tools))
    elif journal is not None and not journal and lines and all(line.kind in ("UNREAD", "ANSWER") for line in lines):
        found.append(("never acted", 0))
    elif journal is not None:
        found += _refused(lines, journal, tools)
    return min(found, key=lambda pair: (RINGS.index(pair[0]), pair[1] or 10**9), default=("", 0))


def _ring(line: Line, lines: Sequence[Line]) -> tuple[str, int] | None:
    match line.kind:
        case "WRONG":
            return "wrong value", line.step
        case "MISSING":
            return "missing step", line.step
        case "EXTRA":
            other = any(o.kind == "MISSING" and o.table == line.table and o.key != line.key for o in lines)
            return ("wrong target" if other else "collateral"), line.step
        case "FORBIDDEN":
            return "forbidden", line.step
        case "UNREAD":
            return "unread", line.step
        case "ANSWER":
            return "answer", line.step
    return None


def _idle(journal: Sequence[Entry], tools: Toolset | None) -> tuple[str, int]:
    """Nothing has changed in the end: because nothing was tried, because it was refused, or because it was undone."""
    undone = [e.number for e in journal if e.changes]
    if undone:
        return "missing step", undone[-1]
    tried = [e for e in journal if e.result.error is not None and not _reads(e, tools)]
    if not tried:
        return "never acted", 0
    malformed = [e for e in tried if e.result.error is not None and e.result.error.code in _MALFORMED]
    return ("bad arguments", malformed[0].number) if malformed == tried else ("refused", _first_refused(tried))


def _first_refused(tried: Sequence[Entry]) -> int:
    return next(e.number for e in tried if e.result.error is not None and e.result.error.code not in _MALFORMED)


def _reads(entry: Entry, tools: Toolset | None) -> bool:
    tool = tool_of(tools, entry)
    return tool is not None and tool.read_only


def _refused(lines: Sequence[Line], journal: Sequence[Entry], tools: Toolset | None) -> Iterator[tuple[str, int]]:
    """Calls that failed where something is missing: of tools that write that table, and were not made again with success."""
    done = {e.name for e in journal if e.result.ok or e.wrote}
    for line in lines:
        if line.kind != "MISSING" or line.step:
            continue
        for entry in journal:
            tool, error = tool_of(tools, entry), entry.result.error
            if error is None or tool is None or entry.name in done:
                continue
            if any(table == line.table for table, _ in tool.writes):
                yield ("bad arguments" if error.code in _MALFORMED else "refused"), entry.number
