"""Export to NESTFUL's form (v2): questions as nested calls of flat functions, one JSON object a line.

    {"sample_id", "input", "output": [{"name", "label": "$var_1", "arguments": {"arg_0": 20, "arg_1": "$var_1.result$"}}],
     "tools": [{"name", "description", "parameters": {"arg_0": {"description", "type"}},
                "output_parameters": {"result": {"description", "type"}}}], "gold_answer"}

In the file all five are strings, as in the published data: output, tools and gold_answer are JSON text.  Only tasks that change
nothing and ask for one value have such a form.  Values are the stored ones: money in minor units.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from worlddb.errors import StoreError
from worlddb.export.functions import Arithmetic, Figure, Function, Functions, Leader, Lookup, Meaning, Part
from worlddb.files import partial_path, publish, unwritable
from worlddb.rng import Stream
from worlddb.schema.model import Schema
from worlddb.spawner import Progress
from worlddb.store import open_store
from worlddb.tasks.ground import is_flag
from worlddb.tasks.model import Task
from worlddb.tasks.plan import Calc, Const, Each, Expr, Find, Fold, Group, Of, Plan, Where, parts

DISTRACTORS = 3
"""Functions that a sample does not need, for each that it needs."""
NEAR = 2
"""Of these, so many are about the same tables, where there are as many."""


class Unfit(Exception):
    """A task that has no such form; `reason` in a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Written(NamedTuple):
    """What an export wrote."""

    path: Path
    samples: int
    left_out: dict[str, int]
    """Why tasks were left out -> how many."""


def export(
    path: str | Path = "data/out",
    out: str | Path | None = None,
    *,
    keep: Callable[[Task, Schema], bool] | None = None,
    progress: Progress | None = None,
) -> Written:
    """Write the questions among the tasks of a store to the file `out` (nestful.jsonl inside the store), a line each.

    `keep` says which tasks are wanted; the others are not counted.

    Raises:
        StoreError: there is no store, it is damaged or has no tasks; the file is there already or cannot be written.
    """
    store = open_store(path)
    target = Path(out) if out is not None else store.path / "nestful.jsonl"
    if target.exists():
        raise StoreError(f"{target} exists already; choose another --out, or remove it first")
    if not store.count_tasks():
        raise StoreError(f"{store.path} has no tasks; grow a store that has some: worlddb spawn --n 100 --tasks 10")
    partial, left = partial_path(target), Counter[str]()
    samples = 0
    try:
        with partial.open("wb") as file:
            for done, world in enumerate(store, start=1):
                tasks = (t for t in world.tasks if keep is None or keep(t, world.schema))
                for line in lines_of(world.schema, tasks, left):
                    file.write(line)
                    samples += 1
                if progress:
                    progress(done, len(store))
        publish(partial, target)
    except OSError as error:
        raise unwritable(target, error.strerror or str(error), "choose another --out") from None
    finally:
        partial.unlink(missing_ok=True)
    return Written(target, samples, dict(left))


def lines_of(schema: Schema, tasks: Iterable[Task], left: Counter[str]) -> Iterator[bytes]:
    """A line for each task that has such a form; `left` counts the others by reason."""
    functions = Functions(schema)
    for task in tasks:
        try:
            yield msgspec.json.encode(columns_of(sample_of(functions, task))) + b"\n"
        except Unfit as unfit:
            left[unfit.reason] += 1


def columns_of(sample: dict[str, Any]) -> dict[str, str]:
    """A sample as the row of a file: what is no text becomes JSON text."""
    texts = ("sample_id", "input")
    return {k: v if k in texts else msgspec.json.encode(v).decode() for k, v in sample.items()}


def sample_of(functions: Functions, task: Task) -> dict[str, Any]:
    """One task as a sample.

    Raises:
        Unfit: it changes something, or asks for no single value.
    """
    calls, used = calls_of(functions, task.plan)
    offered = Stream(0, "nestful", task.id).shuffled([*used, *distractors(functions, used, task.id)])
    return {
        "sample_id": task.id, "input": task.instruction, "output": calls, "tools": [_tool(f) for f in offered],
        "gold_answer": task.goal.answers[0].value,
    }  # fmt: skip


def calls_of(functions: Functions, plan: Plan) -> tuple[list[dict[str, Any]], list[Function]]:
    """A plan as nested calls, the last of which gives the answer, and the functions that they are of.

    Raises:
        Unfit: it changes something, or asks for no single value.
    """
    if plan.dos:
        raise Unfit("it changes something")
    if plan.asked is None or plan.asked.shape != "value" or not isinstance(plan.asked.what[0], Of):
        raise Unfit("its answer is no single value")
    compiler = _Compiler(functions, plan)
    compiler.value(plan.asked.what[0])
    if not compiler.calls:
        raise Unfit("it takes no call")
    return compiler.calls, compiler.used


class _Compiler:
    """The nodes that an answer needs, as calls; equal calls are made once."""

    def __init__(self, functions: Functions, plan: Plan) -> None:
        self.functions, self.schema, self.plan = functions, functions.schema, plan
        self.calls: list[dict[str, Any]] = []
        self.used: list[Function] = []
        self._made: dict[str, str] = {}

    def value(self, expr: Expr) -> Any:
        """A stated value, or the reference to a call that gives it."""
        if isinstance(expr, Const):
            known = expr.table and is_flag(self.schema[expr.table][expr.column])
            return bool(expr.value) if known and expr.value is not None else expr.value
        if not isinstance(expr, Of | Each):
            raise Unfit("it changes something")
        node = self.plan[expr.node]
        if not isinstance(node, Find) or self.schema[node.table].primary_key == (expr.column,):
            return self.node(expr.node)
        of, given = self._rows(node)
        return self.call(Part(table=node.table, column=expr.column, many=node.many, of=of), *given)

    def node(self, name: str) -> Any:
        """What a node stands for, keys of rows or a value: the reference to a call, or a stated key."""
        node = self.plan[name]
        if isinstance(node, Find):
            if (key := self._key(node)) is not None:
                return self.value(key)
            lookup, given = self._lookup(node)
            return self.call(lookup, *given)
        if isinstance(node, Calc):
            return self.call(Arithmetic(op=node.op), self.value(node.left), self.value(node.right))
        if not isinstance(node, Fold | Group):
            raise Unfit("it depends on a comparison")
        rows = self.plan[node.of]
        assert isinstance(rows, Find)
        of, given = self._rows(rows)
        if isinstance(node, Fold):
            return self.call(Figure(table=rows.table, by=node.by, column=node.column, of=of), *given)
        leader = Leader(table=rows.table, column=node.column, by=node.by, over=node.over, desc=node.desc, of=of)
        return self.call(leader, *given)

    def _rows(self, find: Find) -> tuple[Lookup | None, list[Any]]:
        """Rows that are wanted for one thing only are looked up by the very function that gives it; else by their keys."""
        if len(self._purposes[find.name]) == 1 and self._key(find) is None:
            return self._lookup(find)
        return None, [self.node(find.name)]

    def _key(self, find: Find) -> Expr | None:
        """The key of a row that is known by nothing else: there is nothing to look up."""
        own = self.schema[find.table].primary_key
        if find.many or find.free or len(find.where) != 1:
            return None
        (where,) = find.where
        return where.value if where.op == "eq" and (where.column,) == own else None

    @cached_property
    def _purposes(self) -> dict[str, set[tuple[str, str]]]:
        """Find -> for what its rows are wanted: a column of theirs, or a figure."""
        found: dict[str, set[tuple[str, str]]] = {n.name: set() for n in self.plan.nodes}
        for node in self.plan.nodes:
            for part in parts(node):
                if isinstance(part, Of | Each):
                    found[part.node].add(("column", part.column))
            if isinstance(node, Fold | Group):
                found[node.of].add(("figure", node.name))
        for what in self.plan.asked.what if self.plan.asked else ():
            found[what.node].add(("column", what.column))
        return found

    def _lookup(self, find: Find) -> tuple[Lookup, list[Any]]:
        if find.free:
            raise Unfit("it leaves a choice")
        where = sorted(find.where, key=lambda w: (w.column, w.op))
        given = [self._compared(w) for w in where if w.op not in ("null", "set")]
        lookup = Lookup(
            table=find.table, where=tuple((w.column, w.op) for w in where), sort=find.sort, desc=find.desc,
            many=find.many, take=find.many and find.take > 0,
        )  # fmt: skip
        return lookup, [*given, *([find.take] if lookup.take else [])]

    def _compared(self, where: Where) -> Any:
        """What a condition compares with: a value, or for `in` several."""
        if where.value is None:
            return [self.value(v) for v in where.values]
        found = self.value(where.value)
        return [found] if where.op in ("in", "not_in") and not isinstance(where.value, Each) else found

    def call(self, meaning: Meaning, *given: Any) -> str:
        """The reference to a call, made now or before."""
        function = self.functions.of(meaning)
        arguments = {f"arg_{i}": value for i, value in enumerate(given)}
        signature = json.dumps([function.name, arguments])
        if signature not in self._made:
            label = f"$var_{len(self.calls) + 1}"
            self.calls.append({"name": function.name, "label": label, "arguments": arguments})
            self.used += [function] if function not in self.used else []
            self._made[signature] = f"{label}.result$"
        return self._made[signature]


# --- what is offered


def distractors(functions: Functions, used: list[Function], path: str) -> list[Function]:
    """Functions that are not needed, most of them about the same tables, drawn by the stream of that path."""
    stream = Stream(0, "nestful", path, "distractors")
    names, tables = {f.name for f in used}, {_table(f) for f in used} - {""}
    others = [f for f in functions.catalogue if f.name not in names]
    near = stream.child("near").shuffled([f for f in others if _table(f) in tables])[: NEAR * len(used)]
    far = stream.child("far").shuffled([f for f in others if f not in near])
    return [*near, *far[: DISTRACTORS * len(used) - len(near)]]


def _table(function: Function) -> str:
    return getattr(function.meaning, "table", "")


def _tool(function: Function) -> dict[str, Any]:
    return {
        "name": function.name, "description": function.description,
        "parameters": {f"arg_{i}": slot._asdict() for i, slot in enumerate(function.parameters)},
        "output_parameters": {"result": function.result._asdict()},
    }  # fmt: skip
