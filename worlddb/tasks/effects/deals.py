"""Effects of actions on money, stock, orders and contracts."""

from __future__ import annotations

from collections.abc import Callable

from worlddb.schema.model import ForeignKey, Table
from worlddb.schema.rules import COMPARISON, Cap, SumEq, SumLe, Where
from worlddb.semantics.types import is_a
from worlddb.tasks.effects.acts import its, its_params, note
from worlddb.tasks.effects.case import Answer, Case
from worlddb.tasks.effects.desk import Lost, key_of, references
from worlddb.tasks.sql import Row
from worlddb.tools.kinds.actions.sights import is_money, open_states, origins
from worlddb.tools.words import state_word

_OUT = ("transfer", "transfer_out", "withdrawal", "debit", "payout", "spent", "redeemed", "adjustment", "correction")
_IN = ("transfer", "transfer_in", "deposit", "credit", "top_up", "topup", "earned", "adjustment", "correction")
_VOID = frozenset([
    "bounced", "cancelled", "charged_back", "declined", "expired", "failed", "refunded", "rejected", "returned", "reversed",
    "void", "voided",
])  # fmt: skip
_PAID = ("paid", "paid_off", "settled")
_REFUNDED = ("charged_back", "refunded", "returned", "reversed")
_RENEWED = ("active", "current", "renewed")


def worded(table: Table, words: tuple[str, ...]) -> list[str]:
    """The states of a table that are called one of these words."""
    return [s for s in table.lifecycle.states if state_word(s) in words] if table.lifecycle else []


def meets(row: Row, where: Where) -> bool:
    """True for a row that meets a condition of a rule on columns of its own."""
    for column, wanted in where.items():
        value = row[column]
        if wanted is None or wanted == "null":
            fits = value is None
        elif wanted == "set":
            fits = value is not None
        elif isinstance(wanted, tuple):
            fits = value in wanted
        else:
            match = COMPARISON.match(wanted)
            assert match is not None
            sign, bound = match[1], int(match[2])
            fits = value is not None and {
                "<": value < bound, ">": value > bound, "<=": value <= bound, ">=": value >= bound, "=": value == bound
            }[sign]  # fmt: skip
        if not fits:
            return False
    return True


# --- money


def _entries(case: Case, account: Table, column: str) -> tuple[Table, ForeignKey, str] | None:
    """The table whose signed figures make up a total of a table: (entries, reference, column)."""
    for rule in case.schema.rules:
        if isinstance(rule, SumEq) and (rule.table, rule.column) == (account.key, column) and rule.of:
            entry = case.schema[rule.of]
            return entry, entry.parents[rule.via], rule.sum
    return None


def _post(case: Case, account: Table, column: str, key: object, amount: int, words: tuple[str, ...]) -> None:
    """An amount is added to a figure: by an entry where the figure is the sum of those."""
    book = _entries(case, account, column)
    if book is None:
        row = case.desk.row(account, key)
        case.desk.change(account, row, {column: (row[column] or 0) + amount})
    else:
        entry, link, signed = book
        case.born(entry, {link.columns[0]: key, signed: amount}, prefer=words, form=False)


def transfer_funds(case: Case) -> Answer:
    """An amount goes from one account to another."""
    _post(case, case.table, case.tail[0], case["from_id"], -case["amount"], _OUT)
    _post(case, case.table, case.tail[0], case["to_id"], case["amount"], _IN)
    return None


def top_up(case: Case) -> Answer:
    """An amount is put in."""
    _post(
        case,
        case.table,
        case.tail[0],
        case["id"],
        case["amount"],
        ("deposit", "top_up", "topup", "credit", "earned", *_IN),
    )
    return case.answer(case.table, case["id"])


def withdraw(case: Case) -> Answer:
    """An amount is taken out."""
    words = ("withdrawal", "debit", "payout", "spent", "redeemed", *_OUT)
    _post(case, case.table, case.tail[0], case["id"], -case["amount"], words)
    return case.answer(case.table, case["id"])


def _debt(case: Case, table: Table, payment: Table) -> tuple[ForeignKey, str, str, Where]:
    """How payments pay: reference, amount, what is to be paid in all, which payments count."""
    for rule in case.schema.rules:
        if isinstance(rule, SumLe | Cap) and rule.table == payment.key and len(rule.per) == 1 and rule.column:
            role, _, total = str(rule.at_most).partition(".")
            link = payment.parents.get(role)
            if link is not None and (role,) == rule.per and link.table == table.key and total in table:
                return link, rule.column, total, rule.where
    machine = payment.lifecycle
    counts: Where = {machine.column: tuple(s for s in machine.states if state_word(s) not in _VOID)} if machine else {}
    link = next(f for t, f in case.facts.holders(table) if t.key == payment.key and not f.nullable)
    return link, "amount", _total(case, table), counts


def _total(case: Case, table: Table) -> str:
    """The column that says what a row costs in all."""
    money = [c.key for c in table.columns if is_money(c)]
    named = [k for k in money if k in ("total", "total_amount", "amount_due", "amount", "total_charges")]
    summed = [k for k in money if (table.key, k) in case.facts.derived and k != "balance"]
    return [*(k for k in named if k == "total"), *summed, *named][0]


def _paid(case: Case, payment: Table, link: ForeignKey, amount: str, counts: Where, key: object) -> int:
    rows = case.desk.rows(payment, {link.columns[0]: key})
    return sum(r[amount] or 0 for r in rows if meets(r, counts))


def pay(case: Case) -> Answer:
    """What is outstanding, or a part of it, is paid; what is paid in full is paid."""
    table, row, payment = case.table, case.row(), case.schema[case.tail[0]]
    link, amount, total, counts = _debt(case, table, payment)
    outstanding = (row[total] or 0) - _paid(case, payment, link, amount, counts, case["id"])
    paying = outstanding if case["amount"] is None else case["amount"]
    given = {**its(case, payment), link.columns[0]: case["id"], amount: paying}
    key = case.born(payment, given, its_params(case), form=False)
    machine = payment.lifecycle
    if machine:
        counting = counts.get(machine.column)
        good = [s for s in machine.happy if not isinstance(counting, tuple) or s in counting]
        last = [s for s in good if state_word(s) not in _VOID][-1]
        for state in machine.routes[last][1:]:
            case.enter(payment, case.desk.row(payment, key), state)
    own = table.lifecycle
    state = next(iter(worded(table, _PAID)), "")
    if own and state and paying >= outstanding and row[own.column] in origins(table, state):
        case.enter(table, case.desk.row(table, case["id"]), state)
    return case.answer(table, case["id"])


def refund(case: Case) -> Answer:
    """A payment goes back; what it paid is refunded too where nothing else was paid, or open again."""
    payment, row = case.table, case.row()
    case.enter(payment, row, worded(payment, _REFUNDED)[0])
    link, amount, counts, table = _paid_by(case, payment)
    above = next(iter(case.desk.rows(table, {table.primary_key[0]: row[link.columns[0]]})), None)
    machine = table.lifecycle
    if machine and above is not None:
        back = next((s for s in worded(table, _REFUNDED) if origins(table, s)), "")
        if worded(table, _REFUNDED) and origins(table, worded(table, _REFUNDED)[0]):
            left = _paid(case, payment, link, amount, counts, row[link.columns[0]])
            if left == 0 and above[machine.column] in origins(table, back):
                case.enter(table, above, back)
        else:
            paid = worded(table, _PAID)
            moves = [b for p in paid for a, b in machine.moves if a == p and state_word(b) not in _VOID]
            if moves and above[machine.column] in paid:
                case.enter(table, above, moves[0])
    return case.answer(payment, key_of(payment, row))


def _paid_by(case: Case, payment: Table) -> tuple[ForeignKey, str, Where, Table]:
    """What payments are for."""
    for rule in case.schema.rules:
        if isinstance(rule, SumLe | Cap) and rule.table == payment.key and len(rule.per) == 1 and rule.column:
            role, _, total = str(rule.at_most).partition(".")
            link = payment.parents.get(role)
            if link is not None and (role,) == rule.per and total in case.schema[link.table]:
                return link, rule.column, rule.where, case.schema[link.table]
    for link in payment.foreign_keys:
        table = case.schema[link.table]
        if len(link.columns) == 1 and not link.nullable and any(is_money(c) for c in table.columns):
            link, amount, _, counts = _debt(case, table, payment)
            return link, amount, counts, table
    raise Lost(f"{payment.key} pays for nothing")


# --- stock


def _quantity(table: Table) -> str:
    return next(c.key for c in table.columns if c.key == "quantity" or is_a(c.type, "stock_level"))


def transfer_stock(case: Case) -> Answer:
    """Some of a thing goes from one place to another, where there may be none yet."""
    table, column, amount = case.table, _quantity(case.table), case["amount"]
    if "item_id" not in case.given:
        for end, sign in (("from_id", -1), ("to_id", 1)):
            _post(case, table, column, case[end], sign * amount, ("transfer", "adjustment"))
        return None
    homes = {p.key: p.table for p in case.tool.params}
    item = next(c for c, f in references(table).items() if f.table == homes["item_id"])
    spot = next(c for c, f in references(table).items() if f.table == homes["to_id"])
    for end, sign in (("from_id", -1), ("to_id", 1)):
        where = {item: case["item_id"], spot: case[end]}
        if not case.desk.rows(table, where):
            case.born(table, {**where, column: 0}, form=False)
        row = case.desk.rows(table, where)[0]
        case.desk.change(table, row, {column: (row[column] or 0) + sign * amount})
    return None


def stock_in(case: Case) -> Answer:
    """More of a thing."""
    return _stocked(case, 1)


def stock_out(case: Case) -> Answer:
    """Less of a thing."""
    return _stocked(case, -1)


def _stocked(case: Case, sign: int) -> Answer:
    table, column = case.table, _quantity(case.table)
    key = case.row()
    own = key_of(table, key)
    summed = _entries(case, table, column)
    _post(case, table, column, own if len(own) > 1 else own[0], sign * case["amount"], ("transfer", "adjustment"))
    if summed is None:
        for child, link in case.facts.holders(table):
            if child.archetype == "movement" and (child.key, "insert") in case.tool.writes:
                given = {link.columns[0]: own[0], _quantity(child): case["amount"]}
                case.born(child, given, prefer=("inbound",) if sign > 0 else ("outbound",), form=False)
                break
    return case.answer(table, own)


# --- orders


def place(case: Case) -> Answer:
    """A header with its lines, at the prices of the catalogue."""
    table, child = case.table, case.schema[case.tail[0]]
    key = case.born(table, its(case, table), its_params(case), form=False)
    lines = case.tool.param("lines")
    link = _owner(case, child)
    for line in case["lines"]:
        given = {f.column: line[f.key] for f in lines.fields if line.get(f.key) is not None}
        case.born(child, {**given, link.columns[0]: key[0]}, lines.fields, form=False)
    return case.answer(table, key)


def add_line(case: Case) -> Answer:
    """One more line, at the price of the catalogue."""
    child = case.schema[case.tail[0]]
    thing = case.tool.param("what_id").table
    link = _owner(case, child)
    copied = [child.parents[c.like.split(".")[0]] for c in child.columns if c.like.split(".")[0] in child.parents]
    item = next(f for f in copied if f.table == thing and f != link)
    given = {**its(case, child), link.columns[0]: case["id"], item.columns[0]: case["what_id"]}
    case.born(child, given, its_params(case), form=False)
    return case.answer(case.table, case["id"])


def _owner(case: Case, child: Table) -> ForeignKey:
    """The reference of a line to its header."""
    found = [f for t, f in case.facts.holders(case.table) if t.key == child.key and not f.nullable]
    return next((f for f in found if f.on_delete == "CASCADE"), found[0])


# --- contracts


def change_plan(case: Case) -> Answer:
    """Another plan, at its price and for its period."""
    table, row = case.table, case.row()
    link = table.parents[case.tail[0]]
    plan = case.desk.row(case.schema[link.table], case["to_id"])
    shape = case.schema[link.table]
    values: Row = {link.columns[0]: case["to_id"]}
    for column in table.columns:
        key = column.key
        priced = (
            key == "price" and is_money(column) and not column.formula and (table.key, key) not in case.facts.derived
        )
        cycle = is_a(column.type, "billing_period") and key in shape and set(shape[key].values) <= set(column.values)
        if (priced or cycle) and plan.get(key) is not None:
            values[key] = plan[key]
    case.desk.change(table, row, values)
    note(case, row, "plan_changed")
    return case.answer(table, key_of(table, row))


def renew(case: Case) -> Answer:
    """A later end; what had lapsed runs again."""
    table, row, machine = case.table, case.row(), case.table.lifecycle
    values: Row = {case.tool.param("until").column: case["until"]}
    if "renewal_count" in table:
        values["renewal_count"] = (row["renewal_count"] or 0) + 1
    again = next(iter(worded(table, _RENEWED)), "")
    lapsed = [s for s in origins(table, again) if s not in open_states(table)] if again else []
    if machine and row[machine.column] in lapsed and again not in case.facts.frozen(table):
        values[machine.column] = again
    case.desk.change(table, row, values)
    note(case, row, "renewed")
    return case.answer(table, key_of(table, row))


def follow_up(case: Case) -> Answer:
    """What a row leads to, with what both refer to; the row moves on where that comes next."""
    table, row, child = case.table, case.row(), case.schema[case.tail[0]]
    link = child.parents[case.tail[1]]
    rule = next(r for r in case.schema.rules if r.table == child.key and getattr(r, "of", "") == link.key)
    targets = {f.table: f for f in table.foreign_keys if len(f.columns) == 1}
    roles = {f.key for f in targets.values()} | {f.key for f in table.foreign_keys}
    shared = {
        c: row[targets[f.table].columns[0]]
        for c, f in references(child).items()
        if f.table in targets and f.key != link.key and (f.key in roles or not _is_person(case.schema[f.table]))
    }
    given = {**its(case, child), **shared, link.columns[0]: case["id"]}
    case.born(child, given, its_params(case), form=False)
    machine = table.lifecycle
    assert machine is not None
    allowed = [s for s in getattr(rule, "among", ()) if isinstance(s, str)]
    onward = [b for b in machine.happy for a in allowed if (a, b) in machine.moves and b in allowed]
    if onward and link.unique and row[machine.column] in origins(table, onward[0]):
        case.enter(table, case.desk.row(table, case["id"]), onward[0])
    return case.answer(table, case["id"])


def _is_person(table: Table) -> bool:
    people = any(is_a(c.type, "person_name") for c in table.columns) and any(
        is_a(c.type, "contact") for c in table.columns
    )
    return table.archetype in ("party", "staff") or (not table.archetype and people)


ACTIONS: dict[str, Callable[[Case], Answer]] = {
    "transfer_funds": transfer_funds, "top_up": top_up, "withdraw": withdraw, "pay": pay, "refund": refund,
    "transfer_stock": transfer_stock, "receive": stock_in, "issue": stock_out, "place": place, "add": add_line,
    "change_plan": change_plan, "renew": renew, "follow_up": follow_up,
}  # fmt: skip
