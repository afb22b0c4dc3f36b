"""How real a database looks: the metrics of schemas/bars.yaml, of one database or of thousands, beside their bars.

`measure` makes a small value out of one database, in whatever process has it at hand; `summarise` takes any number of
these values, in any order, and gives the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from statistics import fmean
from typing import Any, Literal

import msgspec
import numpy as np

from worlddb.errors import BrokenFile
from worlddb.library import folder
from worlddb.rng import Stream
from worlddb.schema.metrics_data import Data, data, typical
from worlddb.schema.metrics_structure import Structure, structure
from worlddb.schema.model import Schema
from worlddb.schema.reflect import Connection

MOST_PAIRED = 2000
"""Databases beyond which pairs are taken from a fixed random sample of that many databases."""


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one database.  Small (a few KB), and sent between processes as any msgspec value or pickle."""

    structure: Structure
    data: Data | None = None
    """None where only a schema was at hand."""


def measure(schema: Schema, connection: Connection | None = None) -> Measure:
    """Measure one database, or a schema alone: under 1 ms for the structure and a few for each thousand rows.

    Args:
        schema: grown, or reflected from a file (`worlddb.schema.reflect.reflect`).
        connection: an apsw or sqlite3 connection to a database of that schema; it is only read.

    >>> from worlddb.schema.domains import expand, load_domain
    >>> measure(expand(load_domain("hotel"))).structure.depth
    5
    """
    return Measure(structure=structure(schema), data=data(schema, connection) if connection is not None else None)


# --- the report


class Bar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of schemas/bars.yaml; its head describes the fields."""

    label: str
    means: str
    bar: dict[Literal["p10", "p50", "p90", "about", "min", "max"], float] = {}
    share: bool = False
    of_databases: bool = False
    """True where the figure speaks of many databases together, so that one alone cannot be judged."""
    source: str = ""


class Judge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tolerances of schemas/bars.yaml, fractions of 1; `few` in databases."""

    median_relative: float
    median_absolute: float
    tail_relative: float
    tail_absolute: float
    few: int

    def near(self, ours: float, bar: float, *, tail: bool, share: bool) -> bool:
        """True where a figure is close enough to its bar."""
        relative, absolute = (
            (self.tail_relative, self.tail_absolute) if tail else (self.median_relative, self.median_absolute)
        )
        return abs(ours - bar) <= max(relative * abs(bar), absolute if share else 0.0) + 1e-9

    def inside(self, ours: dict[str, float], bar: Bar, databases: int) -> bool | None:
        """Whether a figure meets its bar; None where there is no bar, or too little to judge by."""
        few = databases < self.few
        if not bar.bar or not ours or (few and bar.of_databases):
            return None
        wanted, middle = bar.bar, ours.get("p50", ours.get("value", 0.0))
        if "p10" in wanted and few:
            return wanted["p10"] <= middle <= wanted["p90"]
        if "p10" in wanted:
            return all(self.near(ours[p], wanted[p], tail=p != "p50", share=bar.share) for p in ("p10", "p50", "p90"))
        if "about" in wanted:
            return self.near(middle, wanted["about"], tail=False, share=bar.share)
        return wanted.get("min", middle) - 1e-9 <= middle <= wanted.get("max", middle) + 1e-9


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the report."""

    metric: str
    label: str
    ours: dict[str, float]
    """'p10', 'p50' and 'p90', or 'value'; empty where nothing could be measured."""
    bar: dict[str, float]
    inside: bool | None
    """None: there is no bar, or too little to judge by."""
    means: str
    source: str

    @property
    def ours_text(self) -> str:
        """What was measured, for people: '0.2 / 0.35 / 0.5' or '0.08'; '-' for nothing."""
        return " / ".join(_number(v) for v in self.ours.values()) or "-"

    @property
    def bar_text(self) -> str:
        """The bar, for people: '0.2 / 0.35 / 0.5', 'about 0.1', '≤ 0.08', '0.05 to 0.15'; '' for none."""
        bar = self.bar
        if "p10" in bar:
            return " / ".join(_number(bar[p]) for p in ("p10", "p50", "p90"))
        if "about" in bar:
            return f"about {_number(bar['about'])}"
        if len(bar) == 2:
            return f"{_number(bar['min'])} to {_number(bar['max'])}"
        return "".join(f"{'≥' if k == 'min' else '≤'} {_number(v)}" for k, v in bar.items())


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All metrics beside their bars, in the order of schemas/bars.yaml.

    `msgspec.to_builtins(report)` is ready for JSON.
    """

    databases: int
    rows: tuple[Row, ...]

    def __getitem__(self, metric: str) -> Row:
        return next(r for r in self.rows if r.metric == metric)

    @property
    def outside(self) -> tuple[Row, ...]:
        """The rows that miss their bar."""
        return tuple(r for r in self.rows if r.inside is False)


@cache
def bars() -> tuple[Judge, dict[str, Bar]]:
    """The tolerances and bars of schemas/bars.yaml.

    Raises:
        BrokenFile: the file does not follow its own format, or leaves a metric out.
    """
    import yaml

    path = folder("schemas") / "bars.yaml"
    content = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    try:
        judge, found = msgspec.convert(content["judge"], Judge), msgspec.convert(content["bars"], dict[str, Bar])
    except (msgspec.ValidationError, KeyError) as error:
        raise BrokenFile(f"{path.name}: {error}; its head describes the format") from None
    odd = sorted(set(found) ^ set(METRICS))
    if odd:
        raise BrokenFile(f"{path.name}: bars.{odd[0]}: the metrics are {', '.join(METRICS)}; name exactly these")
    return judge, found


def summarise(measures: Iterable[Measure]) -> Report:
    """The report on any number of databases; their order does not matter."""
    all_ = list(measures)
    judge, found = bars()
    rows = []
    for name, bar in found.items():
        ours = METRICS[name](all_) if all_ else {}
        rows.append(
            Row(
                metric=name, label=bar.label, ours=ours, bar={str(k): v for k, v in bar.bar.items()},
                inside=judge.inside(ours, bar, len(all_)), means=bar.means, source=bar.source,
            )
        )  # fmt: skip
    return Report(databases=len(all_), rows=tuple(rows))


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


# --- how each metric is put together over databases

Figures = dict[str, float]
Metric = Callable[[list[Measure]], Figures]


def _spread(values: Sequence[float]) -> Figures:
    if not values:
        return {}
    return {f"p{p}": round(float(v), 6) for p, v in zip((10, 50, 90), np.percentile(values, (10, 50, 90)), strict=True)}


def _value(value: float | None) -> Figures:
    return {} if value is None else {"value": round(float(value), 6)}


def _spread_of(get: Callable[[Measure], float | None]) -> Metric:
    """p10, p50 and p90 over databases."""
    return lambda all_: _spread([v for m in all_ if (v := get(m)) is not None])


def _mean_of(get: Callable[[Measure], float | None]) -> Metric:
    """The mean over databases; of a truth, the share of databases."""
    return lambda all_: _value(fmean(found) if (found := [v for m in all_ if (v := get(m)) is not None]) else None)


def _pooled_share(get: Callable[[Measure], tuple[int, int]]) -> Metric:
    """A share over the parts of all databases together: `get` gives (such parts, all parts) of one."""

    def figures(all_: list[Measure]) -> Figures:
        part, whole = (sum(x) for x in zip(*map(get, all_), strict=True))
        return _value(part / whole if whole else None)

    return figures


def _tables_where(test: Callable[[Structure], int]) -> Metric:
    return _pooled_share(lambda m: (test(m.structure), len(m.structure.widths)))


def _weighted(get: Callable[[Structure], float | None]) -> Metric:
    """A share of tables, over the tables of all databases together."""
    return _tables_where(lambda s: round((get(s) or 0.0) * len(s.widths)))


def _columns_of(kind: str) -> Metric:
    return _pooled_share(lambda m: (m.structure.kinds.get(kind, 0), sum(m.structure.kinds.values())))


def _pool(get: Callable[[Data], Sequence[float]]) -> Callable[[list[Measure]], list[float]]:
    return lambda all_: [v for m in all_ if m.data for v in get(m.data)]


def _of_data(get: Callable[[Data], float | None]) -> Callable[[Measure], float | None]:
    return lambda m: get(m.data) if m.data else None


def _data_share(get: Callable[[Data], tuple[int, int]]) -> Metric:
    return _pooled_share(lambda m: get(m.data) if m.data else (0, 0))


def _p90(values: list[float]) -> Figures:
    return _value(float(np.percentile(values, 90)) if values else None)


def jaccard(sets: Sequence[Sequence[str]]) -> float | None:
    """The mean Jaccard index over all pairs of sets; None for fewer than two.

    >>> round(jaccard([["a", "b"], ["b", "c"], ["d"]]), 3)
    0.111
    """
    if len(sets) > MOST_PAIRED:
        sets = Stream(0, "metrics", "jaccard").sample(sets, MOST_PAIRED)
    n = len(sets)
    if n < 2:
        return None
    common = [name for name, count in Counter(x for s in sets for x in s).items() if count > 1]
    at = {name: i for i, name in enumerate(common)}
    shared = np.zeros((n, n), dtype=np.float32)
    for start in range(0, len(common), 4096):  # in slices, so that memory stays at some tens of megabytes
        holds = np.zeros((n, min(4096, len(common) - start)), dtype=np.float32)
        for i, names in enumerate(sets):
            inside = [at[x] - start for x in names if start <= at.get(x, -1) < start + 4096]
            holds[i, inside] = 1
        shared += holds @ holds.T
    sizes = np.array([len(s) for s in sets], dtype=np.float32)
    union = sizes[:, None] + sizes[None, :] - shared
    index = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return float((index.sum(dtype=np.float64) - np.trace(index)) / (n * (n - 1)))


METRICS: dict[str, Metric] = {
    "databases": lambda all_: _value(len(all_)),
    "rows": _spread_of(_of_data(lambda d: d.rows)),
    "tables": _spread_of(lambda m: len(m.structure.widths)),
    "columns_per_table": _spread_of(lambda m: fmean(m.structure.widths) if m.structure.widths else None),
    "wide_tables": _tables_where(lambda s: sum(w >= 15 for w in s.widths)),
    "fks_per_table": _spread_of(lambda m: fmean(m.structure.fks) if m.structure.fks else None),
    "fks_0": _tables_where(lambda s: s.fks.count(0)),
    "fks_1": _tables_where(lambda s: s.fks.count(1)),
    "fks_2": _tables_where(lambda s: s.fks.count(2)),
    "fks_3": _tables_where(lambda s: s.fks.count(3)),
    "fks_4": _tables_where(lambda s: sum(n >= 4 for n in s.fks)),
    "many_parents": _spread_of(lambda m: m.structure.many_parents),
    "depth": _spread_of(lambda m: m.structure.depth),
    "forests": _mean_of(lambda m: m.structure.forest),
    "cycles": _mean_of(lambda m: m.structure.cycle),
    "self_references": _mean_of(lambda m: m.structure.self_reference),
    "junctions": _mean_of(lambda m: m.structure.junctions),
    "hub": _spread_of(lambda m: m.structure.hub),
    "composite_keys": _weighted(lambda s: s.composite),
    "nullable_columns": _spread_of(lambda m: m.structure.nullable),
    "nullable_fks": _spread_of(lambda m: m.structure.nullable_fks),
    "status": _spread_of(lambda m: m.structure.status),
    "enum_like": _spread_of(lambda m: m.structure.closed),
    "temporal": _spread_of(lambda m: m.structure.temporal),
    "unique": _spread_of(lambda m: m.structure.unique),
    "created_at": _weighted(lambda s: s.created),
    "soft_delete": _weighted(lambda s: s.soft),
    "polymorphic": _mean_of(lambda m: m.structure.polymorphic > 0),
    **{f"type_{k}": _columns_of(k) for k in ("text", "keys", "datetime", "integer", "boolean", "real", "json")},
    "gini": _spread_of(_of_data(lambda d: typical(d.ginis))),
    "childless": lambda all_: _spread(_pool(lambda d: d.childless)(all_)),
    "null_share_p90": lambda all_: _p90(_pool(lambda d: d.null_shares)(all_)),
    "categorical": _data_share(lambda d: (len(d.top_shares), d.judged)),
    "top_value": lambda all_: _spread(_pool(lambda d: d.top_shares)(all_)),
    "gap_cv": _spread_of(_of_data(lambda d: typical(d.gap_cvs))),
    "weekend": _data_share(lambda d: (d.weekend_events, d.events)),
    "jaccard_columns": lambda all_: _value(jaccard([m.structure.column_names for m in all_])),
    "jaccard_tables": lambda all_: _value(jaccard([m.structure.table_names for m in all_])),
    "distinct_structures": lambda all_: _value(len({m.structure.digest for m in all_}) / len(all_)),
}
"""Metric -> its figures over databases; the names are those of schemas/bars.yaml."""


def columns(report: Report) -> list[dict[str, Any]]:
    """The report as plain rows (metric, ours, bar, inside as text), for a table or a CSV file."""
    return [
        {
            "metric": r.label,
            "ours": r.ours_text,
            "bar": r.bar_text,
            "inside": {True: "yes", False: "no", None: ""}[r.inside],
        }
        for r in report.rows
    ]
