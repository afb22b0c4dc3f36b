"""All 18 kinds of rules, each against rows that keep it and rows that break it."""

from __future__ import annotations

from typing import Any

import apsw
import msgspec
import pytest

from worlddb.schema.ddl import ddl
from worlddb.schema.model import Column, ForeignKey, Schema, Table
from worlddb.schema.rules import KINDS, AnyRule, BadRule, Excl, Requires, Rule, always_set, executable, quote, seconds


def column(key: str, type: str = "quantity", **more: Any) -> Column:
    return Column(key=key, name=key.upper(), type=type, nullable=True, **more)


def key(role: str, table: str) -> ForeignKey:
    return ForeignKey(key=role, columns=(role,), table=table, ref=("id",), nullable=True)


def table(name: str, columns: list[Column], keys: list[ForeignKey] | None = None) -> Table:
    own = Column(key="id", name="ID", type="surrogate_id")
    references = [Column(key=k.key, name=f"{k.key}_ref", type="reference", nullable=True) for k in keys or []]
    return Table(
        key=name, name=f"tbl {name}", archetype="", columns=(own, *references, *columns), primary_key=("id",),
        foreign_keys=tuple(keys or ()),
    )  # fmt: skip


STATE = column("status", "state", values=("new", "on", "done"))
SCHEMA = Schema(
    domain="t",
    title="t",
    tables=(
        table("room", [column("size"), column("kind", "category", values=("a", "b")), STATE, column("total"), column("extra"),
                       column("open_at", "datetime"), column("close_at", "datetime"), column("frozen_at", "datetime")],
              [key("parent", "room")]),
        table("use", [STATE, column("n"), column("m"), column("start", "datetime"), column("end", "datetime"),
                      column("day", "date"), column("updated_at", "datetime"), column("level")],
              [key("room", "room"), key("other", "room"), key("twin", "use")]),
        table("note", [STATE, column("n")], [key("use", "use")]),
    ),
)  # fmt: skip

Rows = dict[str, list[dict[str, Any]]]
D = "2025-01-{:02d} 10:00:00".format


def case(rule: dict[str, Any], rows: Rows, broken: list[int]) -> Any:
    return pytest.param(rule, rows, broken, id=f"{rule['kind']}-{len(str(rule))}")


CASES = [
    case({"kind": "non_neg", "table": "use", "column": "n"}, {"use": [{"n": 0}, {"n": -1}, {"n": None}]}, [2]),
    case({"kind": "cap", "table": "use", "column": "n", "at_most": 3}, {"use": [{"n": 3}, {"n": 4}]}, [2]),
    case({"kind": "cap", "table": "use", "column": "n", "at_most": "room.size", "where": {"status": ["on"]}},
         {"room": [{"size": 2}, {}],
          "use": [{"room": 1, "n": 3, "status": "on"}, {"room": 1, "n": 3, "status": "new"}, {"room": 2, "n": 9, "status": "on"}]},
         [1]),
    case({"kind": "cap", "table": "use", "per": ["room"], "at_most": "room.size"},
         {"room": [{"size": 1}, {"size": 2}], "use": [{"room": 1}, {"room": 1}, {"room": 2}, {"room": 2}, {}]}, [2]),
    case({"kind": "cap", "table": "use", "per": ["room"], "column": "n", "at_most": 10},
         {"room": [{}], "use": [{"room": 1, "n": 6}, {"room": 1, "n": 4}, {"room": 1, "n": 1}]}, [3]),
    case({"kind": "cap", "table": "use", "per": ["room"], "at_most": 1, "each_day": "start"},
         {"room": [{}], "use": [{"room": 1, "start": D(1)}, {"room": 1, "start": D(2)}, {"room": 1, "start": D(1)}]}, [3]),
    case({"kind": "no_overlap", "table": "use", "per": ["room"], "start": "start", "end": "end"},
         {"room": [{}, {}],
          "use": [{"room": 1, "start": D(1), "end": D(3)}, {"room": 1, "start": D(3), "end": D(4)},
                  {"room": 1, "start": D(2), "end": D(3)}, {"room": 2, "start": D(2), "end": None}, {"room": 2, "start": D(9), "end": D(9)}]},
         [3, 5]),
    case({"kind": "requires", "table": "use", "where": {"status": ["done"]}, "needs": "note", "match": {"use": "self"},
          "having": {"status": ["on"]}, "at_least": 2},
         {"use": [{"status": "done"}, {"status": "done"}, {"status": "new"}],
          "note": [{"use": 1, "status": "on"}, {"use": 1, "status": "on"}, {"use": 2, "status": "on"}, {"use": 2, "status": "new"}]},
         [2]),
    case({"kind": "excl", "table": "use", "differ": ["room", "other"]},
         {"room": [{}, {}], "use": [{"room": 1, "other": 2}, {"room": 1, "other": 1}, {"room": 1}]}, [2]),
    case({"kind": "excl", "table": "use", "differ": ["room.parent", "other.parent"]},
         {"room": [{}, {"parent": 1}, {"parent": 1}], "use": [{"room": 2, "other": 3}, {"room": 1, "other": 2}]}, [1]),
    case({"kind": "excl", "table": "use", "one_of": ["n", "m"]},
         {"use": [{"n": 1}, {"m": 1}, {"n": 1, "m": 1}, {}]}, [3, 4]),
    case({"kind": "excl", "table": "use", "none_of": "note", "match": {"use": "self"}, "having": {"n": "> 5"}},
         {"use": [{}, {}], "note": [{"use": 1, "n": 5}, {"use": 2, "n": 6}]}, [2]),
    case({"kind": "excl", "table": "use", "none_of": "use", "match": {"room": "room"}, "where": {"status": ["on"]},
          "having": {"status": ["on"]}},
         {"room": [{}, {}], "use": [{"room": 1, "status": "on"}, {"room": 1, "status": "on"}, {"room": 2, "status": "on"}]}, [1, 2]),
    case({"kind": "window", "table": "use", "time": "start", "after": "room.open_at", "before": "room.close_at"},
         {"room": [{"open_at": D(2), "close_at": D(5)}],
          "use": [{"room": 1, "start": D(2)}, {"room": 1, "start": D(1)}, {"room": 1, "start": D(6)}, {"start": D(9)}]}, [2, 3]),
    case({"kind": "window", "table": "use", "time": "end", "after": "start", "within": "2 days"},
         {"use": [{"start": D(1), "end": D(3)}, {"start": D(1), "end": D(4)}, {"start": D(2), "end": D(1)}]}, [2, 3]),
    case({"kind": "window", "table": "use", "time": "start", "before": "end", "notice": "1 day"},
         {"use": [{"start": D(1), "end": D(2)}, {"start": D(1), "end": "2025-01-02 09:00:00"}]}, [2]),
    case({"kind": "unique_active", "table": "use", "per": ["room"], "where": {"status": ["on"]}},
         {"room": [{}], "use": [{"room": 1, "status": "on"}, {"room": 1, "status": "new"}, {"room": 1, "status": "on"}, {"status": "on"}]},
         [3]),
    case({"kind": "sum_eq", "table": "room", "column": "total", "of": "use", "via": "room", "sum": "n", "plus": ["extra"],
          "having": {"status": ["on"]}},
         {"room": [{"total": 5, "extra": 2}, {"total": 1}, {"total": 0}],
          "use": [{"room": 1, "n": 3, "status": "on"}, {"room": 1, "n": 9, "status": "new"}]}, [2]),
    case({"kind": "sum_eq", "table": "room", "column": "total", "of": "note", "via": "use.room"},
         {"room": [{"total": 2}, {"total": 1}], "use": [{"room": 1}, {"room": 2}], "note": [{"use": 1}, {"use": 1}]}, [2]),
    case({"kind": "balance", "table": "room", "column": "total", "of": "use", "via": "room", "sum": "n", "minus": ["extra"]},
         {"room": [{"total": 1, "extra": 1}, {"total": 7}], "use": [{"room": 1, "n": 5}, {"room": 1, "n": -3}]}, [2]),
    case({"kind": "sum_le", "table": "use", "column": "n", "per": ["room"], "at_most": "room.total"},
         {"room": [{"total": 5}, {}], "use": [{"room": 1, "n": 5}, {"room": 1, "n": 1}, {"room": 2, "n": 99}]}, [2]),
    case({"kind": "qty_le", "table": "use", "columns": ["n", "m"], "at_most": "level"},
         {"use": [{"n": 1, "m": 2, "level": 3}, {"n": 2, "m": 2, "level": 3}]}, [2]),
    case({"kind": "qty_le", "table": "use", "column": "n", "per": ["twin"], "at_most": "twin.n"},
         {"use": [{"n": 3}, {"twin": 1, "n": 3}, {"twin": 1, "n": 1}]}, [3]),
    case({"kind": "date_order", "table": "use", "first": "start", "then": "end"},
         {"use": [{"start": D(1), "end": D(1)}, {"start": D(2), "end": D(1)}, {"start": D(2)}]}, [2]),
    case({"kind": "date_order", "table": "use", "first": "start", "then": "day"},
         {"use": [{"start": D(1), "day": "2025-01-01"}, {"start": D(2), "day": "2025-01-01"}]}, [2]),
    case({"kind": "state_req", "table": "use", "of": "room", "among": ["on"], "where": {"n": "> 0"}},
         {"room": [{"status": "on"}, {"status": "new"}], "use": [{"room": 1, "n": 1}, {"room": 2, "n": 1}, {"room": 2, "n": 0}, {"n": 1}]},
         [2]),
    case({"kind": "immutable", "table": "use", "holder": "room", "states": ["done"], "stamp": "frozen_at"},
         {"room": [{"status": "done", "frozen_at": D(5)}, {"status": "on", "frozen_at": D(1)}],
          "use": [{"room": 1, "updated_at": D(5)}, {"room": 1, "updated_at": D(6)}, {"room": 2, "updated_at": D(9)}]}, [2]),
    case({"kind": "role_req", "table": "use", "actor": "room", "column": "kind", "among": ["a"]},
         {"room": [{"kind": "a"}, {"kind": "b"}], "use": [{"room": 1}, {"room": 2}]}, [2]),
    case({"kind": "role_req", "table": "use", "actor": "room", "column": "size", "equal": "level"},
         {"room": [{"size": 2}], "use": [{"room": 1, "level": 2}, {"room": 1, "level": 3}]}, [2]),
    case({"kind": "role_req", "table": "use", "actor": "room", "column": "size", "at_least": "level"},
         {"room": [{"size": 2}], "use": [{"room": 1, "level": 2}, {"room": 1, "level": 3}]}, [2]),
    case({"kind": "monotone", "table": "use", "per": ["room"], "by": "start", "column": "n"},
         {"room": [{}], "use": [{"room": 1, "start": D(1), "n": 5}, {"room": 1, "start": D(3), "n": 4}, {"room": 1, "start": D(2), "n": 5}]},
         [2]),
    case({"kind": "monotone", "table": "use", "per": ["room"], "by": "start", "column": "n", "strictly": True},
         {"room": [{}], "use": [{"room": 1, "start": D(1), "n": 5}, {"room": 1, "start": D(2), "n": 5}]}, [2]),
    case({"kind": "acyclic", "table": "room", "parent": "parent"},
         {"room": [{"parent": 2}, {"parent": 3}, {"parent": 1}, {"parent": 1}]}, [1, 2, 3]),
    case({"kind": "acyclic", "table": "use", "source": "room", "target": "other"},
         {"room": [{}, {}, {}], "use": [{"room": 1, "other": 2}, {"room": 2, "other": 1}, {"room": 1, "other": 3}]}, [1, 2, 3]),
    case({"kind": "same_parent", "table": "use", "paths": ["room.parent", "other"]},
         {"room": [{}, {"parent": 1}, {}], "use": [{"room": 2, "other": 1}, {"room": 2, "other": 3}, {"room": 3, "other": 1}]}, [2]),
]  # fmt: skip


def convert(rule: dict[str, Any]) -> AnyRule:
    return msgspec.convert({"say": "It holds.", **rule}, AnyRule)


def database(rows: Rows) -> apsw.Connection:
    """The schema's tables with some rows, their ids 1, 2, 3 …"""
    connection = apsw.Connection(":memory:")
    for statement in ddl(SCHEMA):
        connection.execute(statement)
    connection.execute("PRAGMA ignore_check_constraints = ON").fetchall()
    for name, entries in rows.items():
        home = SCHEMA[name]
        for number, entry in enumerate(entries, 1):
            row = {"id": number, **entry}
            names = ", ".join(quote(home[k].name) for k in row)
            marks = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {quote(home.name)} ({names}) VALUES ({marks})", tuple(row.values()))
    return connection


@pytest.mark.parametrize(("rule", "rows", "broken"), CASES)
def test_a_rule_finds_exactly_the_rows_that_break_it(rule: dict[str, Any], rows: Rows, broken: list[int]) -> None:
    found = database(rows).execute(convert(rule).violations(SCHEMA)).fetchall()
    assert sorted(row[0] for row in found) == broken


@pytest.mark.parametrize(("rule", "rows", "broken"), CASES)
def test_taking_the_broken_rows_out_is_a_cure(rule: dict[str, Any], rows: Rows, broken: list[int]) -> None:
    made, connection = convert(rule), database(rows)
    for row in broken:
        connection.execute(f'DELETE FROM "tbl {made.table}" WHERE "ID" = ?', (row,))
    assert connection.execute(made.violations(SCHEMA)).fetchall() == []


@pytest.mark.parametrize(("rule", "rows", "broken"), CASES)
def test_a_check_constraint_agrees_with_the_rule(rule: dict[str, Any], rows: Rows, broken: list[int]) -> None:
    made = convert(rule)
    body = made.check(SCHEMA[made.table])
    if body:
        found = database(rows).execute(f'SELECT "ID" FROM "tbl {made.table}" WHERE NOT ({body})').fetchall()
        assert sorted(row[0] for row in found) == broken


def test_every_kind_has_a_case() -> None:
    assert {c.values[0]["kind"] for c in CASES} == {k.__struct_config__.tag for k in KINDS}
    assert len(KINDS) == 18


WRONG = [
    ({"kind": "non_neg", "table": "nowhere", "column": "n"}, "no table 'nowhere'"),
    ({"kind": "non_neg", "table": "use", "column": "nix"}, "no column 'nix'"),
    ({"kind": "non_neg", "table": "use", "column": "status"}, "is text"),
    ({"kind": "cap", "table": "use", "at_most": 3}, "'column', 'per' or both"),
    ({"kind": "cap", "table": "use", "per": ["nix"], "at_most": 3}, "no column 'nix'"),
    ({"kind": "cap", "table": "use", "per": ["room"], "at_most": "nix.size"}, "no foreign key 'nix'"),
    ({"kind": "non_neg", "table": "use", "column": "n", "where": {"status": ["off"]}}, "never 'off'"),
    ({"kind": "non_neg", "table": "use", "column": "n", "where": {"n": "about 5"}}, "no condition"),
    ({"kind": "excl", "table": "use"}, "excl needs"),
    ({"kind": "excl", "table": "use", "differ": ["room", "twin"]}, "never compare"),
    ({"kind": "window", "table": "use", "time": "start", "within": "2 days"}, "'within' goes with 'after'"),
    ({"kind": "window", "table": "use", "time": "start", "after": "end", "within": "2 moons"}, "no duration"),
    ({"kind": "same_parent", "table": "use", "paths": ["room", "n"]}, "never compare"),
    ({"kind": "requires", "table": "use", "needs": "note", "match": {"use": "room"}}, "never compare"),
    ({"kind": "role_req", "table": "use", "actor": "room", "column": "kind"}, "role_req needs"),
    ({"kind": "acyclic", "table": "use"}, "acyclic needs"),
]


@pytest.mark.parametrize(("rule", "message"), WRONG)
def test_what_cannot_be_executed_is_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRule, match=message):
        convert(rule).touches(SCHEMA)
    assert not executable(convert(rule), SCHEMA)


def test_touches_names_every_column_on_the_way() -> None:
    rule = convert(
        {"kind": "cap", "table": "note", "column": "n", "at_most": "use.room.size", "where": {"status": ["on"]}}
    )
    assert rule.touches(SCHEMA) == {
        ("note", "n"), ("note", "status"), ("note", "use"), ("use", "room"), ("room", "size"),
    }  # fmt: skip


def test_a_partial_unique_index_enforces_unique_active() -> None:
    rule = convert({"kind": "unique_active", "table": "use", "per": ["room"], "where": {"status": ["on"]}})
    statements = ddl(Schema(domain="t", title="t", tables=SCHEMA.tables, rules=(rule,)))
    index = [s for s in statements if s.startswith("CREATE UNIQUE INDEX")]
    assert len(index) == 1
    assert index[0].endswith("""("room_ref") WHERE "STATUS" IN ('on')""")


@pytest.mark.parametrize(
    ("text", "expected"), [("1 minute", 60), ("2 hours", 7200), ("3 weeks", 1814400), ("1 year", 31536000)]
)
def test_durations(text: str, expected: int) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Requires(say="so", table="use", needs="note", match={"use": "room"}), True),
        (Requires(say="so", table="use", needs="note", match={"use": "room"}, where={"status": "on"}), False),
        (Requires(say="so", table="use", needs="note", match={"use": "other"}), False),
        (Requires(say="so", table="note", needs="use", match={"room": "room"}), False),
        (Excl(say="so", table="use", one_of=("room", "n")), True),
        (Excl(say="so", table="use", one_of=("other", "n")), False),
    ],
)
def test_a_reference_that_a_rule_wants_in_every_state(rule: AnyRule, expected: bool) -> None:
    use = SCHEMA["use"]
    assert always_set(msgspec.structs.replace(SCHEMA, rules=(rule,)), use, use.parents["room"]) is expected


def test_rules_survive_json() -> None:
    for param in CASES:
        rule: Rule = convert(param.values[0])
        assert msgspec.json.decode(msgspec.json.encode(rule), type=AnyRule) == rule
