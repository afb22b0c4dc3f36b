"""Reads the data from which random schemas grow: domain files and structural archetypes (schemas/).

A domain file is short and declarative (docs/domain-files.md describes it; schemas/domain.schema.json lets an editor check
it).  `load_domain` parses one, `expand` turns it into a full Schema in which every optional column exists: that is what
rules are compiled against, and what the composer takes from.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import msgspec

from worlddb.errors import BadRequest, BrokenFile, UnknownName, WorlddbError
from worlddb.library import folder
from worlddb.schema.model import Column, ForeignKey, Lifecycle, Schema, Table
from worlddb.schema.rules import AnyRule
from worlddb.semantics.types import semantic_types

Key = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]*$")]
_PARENT = re.compile(r"(?:([a-z][a-z0-9_]*):)?([a-z][a-z0-9_]*)(\?)?(!)?$")
NULL_SHARE = 25
"""Percent of NULLs in a nullable column that does not say."""


class ColumnSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column in long form; the short forms are a type's name ('note', nullable as 'note?') or a list of values."""

    type: str = "category"
    nulls: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    """Percent of NULLs; above 0 the column is nullable."""
    unique: bool = False
    values: tuple[str, ...] = ()
    low: int | None = None
    high: int | None = None
    like: str = ""
    formula: str = ""


class Names(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words whose combinations title the rows: each head alone, then each modifier before each head."""

    heads: tuple[str, ...]
    modifiers: tuple[str, ...] = ()


class Entity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"archetype": "is"}):
    """One entity of a domain."""

    archetype: str
    aka: tuple[Key, ...] = ()
    """Other names that a company might give the table."""
    names: Names | tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    """Foreign keys: 'room', nullable 'room?', 1:1 'listing!', with a role 'origin:port'; the entity itself for a tree."""
    links: tuple[Key, ...] = ()
    """Entities linked many-to-many through a pure junction table."""
    states: tuple[str, ...] = ()
    """Chains of states, 'draft > sent > paid'; the first chain is the usual way, its first state the initial one."""
    columns: dict[Key, ColumnSpec | tuple[str, ...] | str] = {}
    drop: tuple[Key, ...] = ()
    """Columns of the archetype that make no sense here."""
    size: str = ""
    title: str = ""
    lasts: str = ""
    """How long its bookings or contracts usually last, such as '2 days' or '45 minutes'."""


class Domain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A domain file."""

    id: Key
    group: Key
    title: str
    summary: str
    entities: dict[Key, Entity]
    rules: tuple[AnyRule, ...] = ()


class Archetype(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A structural kind of table; see the head of schemas/archetypes.yaml."""

    size: str
    title: str = ""
    columns: dict[Key, ColumnSpec | tuple[str, ...] | str]
    optional: dict[Key, ColumnSpec | tuple[str, ...] | str] = {}
    key: str = ""
    skew: str = "strong"
    moment: str = "own"
    self_ref: str = ""


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        BrokenFile: it is not YAML; the message has the line.
    """
    import yaml

    try:
        return yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except FileNotFoundError:
        raise BrokenFile(f"{path}: there is no such file") from None
    except OSError as error:
        raise BrokenFile(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it is not text"
        raise BrokenFile(f"{path}{where}: {problem}; mend the YAML there") from None


def refuse_repeated_keys(path: Path) -> None:
    """YAML takes the last of two equal keys without a word; an entity written twice would lose one of them.

    Raises:
        BrokenFile: a key stands twice in one mapping; the message has the line.
    """
    import yaml

    queue = [yaml.compose(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))]
    while queue:
        node = queue.pop()
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                if key.value in seen:
                    raise BrokenFile(
                        f"{path}:{key.start_mark.line + 1}: the key '{key.value}' stands twice; rename one"
                    )
                seen.add(key.value)
                queue.append(value)
        elif isinstance(node, yaml.SequenceNode):
            queue.extend(node.value)


@cache
def archetypes() -> dict[str, Archetype]:
    """All structural archetypes by name."""
    path = folder("schemas") / "archetypes.yaml"
    return _convert(read_yaml(path), dict[str, Archetype], path)


@cache
def domain_names() -> tuple[str, ...]:
    """Names of all domains that come with worlddb, sorted."""
    return tuple(sorted(p.stem for p in (folder("schemas") / "domains").glob("*.yaml")))


@cache
def load_domain(name: str) -> Domain:
    """A domain that comes with worlddb, by name.

    Raises:
        UnknownName: there is none.
        BrokenFile: the file does not follow the format, or speaks of something that it does not define.
    """
    if name not in domain_names():
        raise UnknownName("domain", name, domain_names())
    return read_domain(folder("schemas") / "domains" / f"{name}.yaml")


@cache
def domain_schema(name: str) -> Schema:
    """`expand` of the domain of that name, made once."""
    return expand(load_domain(name))


def is_file(domain: str) -> bool:
    """True where a domain is given as a file rather than by name."""
    return domain.endswith((".yaml", ".yml"))


def label(domain: str) -> str:
    """What a recipe says of a chosen domain: its name, or for a file its id and the start of its SHA-256.

    Raises:
        UnknownName, BrokenFile: as `load_domain` and `read_domain`.
        BadRequest: it is such a label itself, which names a file without leading to it.
    """
    if is_file(domain):
        return f"{read_domain(Path(domain)).id}@{sha256(Path(domain).read_bytes()).hexdigest()[:12]}"
    if "@" in domain:
        raise BadRequest(f"'{domain.split('@')[0]}' grew from a domain file of its own; give that file as the domain")
    return load_domain(domain).id if domain else ""


def read_domain(path: Path) -> Domain:
    """Parse and check one domain file.

    Raises:
        BrokenFile: with the file, the key inside it, and the cure.
    """
    domain = _convert(read_yaml(path), Domain, path)
    if path.parent != folder("schemas") / "domains":  # a test looks after those that come with worlddb
        refuse_repeated_keys(path)
    if domain.id != path.stem:
        raise BrokenFile(f"{path}: id: '{domain.id}' differs from the file's name; make them equal")
    try:
        schema = expand(domain)
    except WorlddbError as error:
        raise BrokenFile(f"{path}: {error}") from None
    for number, rule in enumerate(domain.rules):
        try:
            rule.touches(schema)
        except WorlddbError as error:
            raise BrokenFile(f"{path}: rules[{number}] ({rule.kind}): {error}") from None
    return domain


_FIRST_USE = Lock()
"""msgspec prepares a type when it is first used, which several threads must not do at once."""


def _convert(data: Any, kind: Any, path: Path) -> Any:
    try:
        with _FIRST_USE:
            return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at ")
        where = where.strip("`").removeprefix("$").lstrip(".") or "the top"
        if "[...]" in where:  # msgspec does not name the keys of mappings
            where, message = _place(data, kind) or (where, message)
        raise BrokenFile(f"{path}: {where}: {message}; docs/domain-files.md describes the format") from None


def json_schema(kind: Any = Domain) -> dict[str, Any]:
    """The JSON Schema of domain files, for editors and tests; schemas/domain.schema.json holds it."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(kind)}
    return dict(msgspec.json.decode(msgspec.json.encode(made)))  # tuples become lists, as in the file


def _place(data: Any, kind: Any) -> tuple[str, str] | None:
    """The exact key at which data departs from the format, and how."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    wrong = best_match(Draft202012Validator(json_schema(kind)).iter_errors(data))
    if wrong is None:
        return None
    message = wrong.message if len(wrong.message) < 160 else f"{wrong.message[:157]}..."
    return ".".join(str(step) for step in wrong.absolute_path) or "the top", message


def expand(domain: Domain) -> Schema:
    """The domain as a Schema with every entity and every optional column; names equal keys.

    Raises:
        WorlddbError: an entity, parent, type or state that does not exist; the message says where.
    """
    tables = []
    for key, entity in domain.entities.items():
        tables.append(_expand_entity(domain, key, entity))
        for other in entity.links:
            if other not in domain.entities:
                raise UnknownName(f"entity (entities.{key}.links)", other, domain.entities)
            tables.append(junction(key, other, domain.id))
    return Schema(
        domain=domain.id, title=domain.title, group=domain.group, summary=domain.summary, tables=tuple(tables),
        rules=domain.rules,
    )  # fmt: skip


def _expand_entity(domain: Domain, key: str, entity: Entity) -> Table:
    if entity.archetype not in archetypes():
        raise UnknownName(f"archetype (entities.{key}.is)", entity.archetype, archetypes())
    kind = archetypes()[entity.archetype]
    where = f"entities.{key}"
    keys = [parent_key(text, key, kind, f"{where}.parents") for text in entity.parents]
    for parent in keys:
        if parent.table not in domain.entities:
            raise UnknownName(f"entity ({where}.parents)", parent.table, domain.entities)
    columns = {"id": Column(key="id", name="id", type="surrogate_id")}
    for parent in keys:
        if parent.key in columns:
            raise WorlddbError(f"{where}.parents: the role '{parent.key}' stands twice; give one a role, 'role:table'")
        columns[parent.key] = reference(parent)
    lifecycle = parse_states(entity.states, f"{where}.states") if entity.states else None
    for stamp in _status_columns(lifecycle):
        columns[stamp.key] = stamp
    specs = {k: v for k, v in {**kind.columns, **kind.optional}.items() if k not in entity.drop} | entity.columns
    for name, spec in specs.items():
        if name in columns and name in entity.columns and not name.endswith("_at"):
            raise WorlddbError(f"{where}.columns.{name}: a key or state has that name already; rename it")
        parsed = parse_column(name, spec, f"{where}.columns.{name}")
        if name not in columns:  # a state's stamp is more exact than the archetype's column of that name
            columns[name] = parsed
    _check_columns(entity, kind, columns, where)
    title = entity.title or kind.title
    if title and title not in columns:
        raise WorlddbError(f"{where}.title: there is no column '{title}'")
    words = entity.names if isinstance(entity.names, Names) else Names(heads=entity.names)
    return Table(
        key=key, name=key, archetype=entity.archetype, columns=tuple(columns.values()), primary_key=("id",),
        foreign_keys=tuple(keys), lifecycle=lifecycle, title=title, size=entity.size or kind.size,
        names=(words.heads, words.modifiers) if words.heads else (), origin=domain.id, aka=entity.aka, lasts=entity.lasts,
    )  # fmt: skip


def _check_columns(entity: Entity, kind: Archetype, columns: dict[str, Column], where: str) -> None:
    """Refuse what the format admits and nothing could be grown from."""
    for key in entity.drop:
        if key not in kind.columns and key not in kind.optional:
            raise WorlddbError(f"{where}.drop: archetype '{entity.archetype}' has no column '{key}'; leave it out")
    for column in columns.values():
        place = f"{where}.columns.{column.key}"
        if column.low is not None and column.high is not None and column.low > column.high:
            raise WorlddbError(f"{place}: low {column.low} is above high {column.high}; exchange them")
        for name in re.findall(r"[a-z][a-z0-9_]*", column.formula):
            if name not in columns:
                raise WorlddbError(f"{place}.formula: there is no column '{name}'")
        if re.search(r"\*\*|/\s*0(?!\d)|[^a-z0-9_+\-*/() ]", column.formula):
            raise WorlddbError(f"{place}.formula: only keys, integers, + - * / and parentheses, and no division by 0")


def junction(key: str, other: str, origin: str) -> Table:
    """A pure many-to-many link between two tables with integer keys: its key is the pair."""
    keys = tuple(
        ForeignKey(key=end, columns=(end,), table=end, ref=("id",), skew=skew)
        for end, skew in ((key, "strong"), (other, "heavy"))
    )
    return Table(
        key=f"{key}_{other}", name=f"{key}_{other}", archetype="junction", columns=tuple(reference(k) for k in keys),
        primary_key=(key, other), key_style="composite", foreign_keys=keys, size="large", origin=origin,
    )  # fmt: skip


def reference(key: ForeignKey) -> Column:
    """The column that holds a single-column foreign key."""
    share = NULL_SHARE if key.nullable else 0
    return Column(
        key=key.key, name=key.key, type="reference", nullable=key.nullable, unique=key.unique, null_share=share
    )


def parent_key(text: str, child: str, kind: Archetype, where: str) -> ForeignKey:
    """The foreign key that '[role:]table[?][!]' stands for."""
    match = _PARENT.match(text)
    if not match:
        raise WorlddbError(f"{where}: '{text}' is no foreign key; write table, table?, table! or role:table")
    role, table, nullable, unique = match.groups()
    if table == child and not nullable:
        raise WorlddbError(f"{where}: '{text}' refers to its own table, so roots need it nullable: '{text}?'")
    role = role or ("parent" if table == child else table)
    skew = "even" if unique else kind.skew
    return ForeignKey(
        key=role, columns=(role,), table=table, ref=("id",), nullable=bool(nullable), unique=bool(unique), skew=skew
    )


def parse_column(key: str, spec: ColumnSpec | tuple[str, ...] | str, where: str) -> Column:
    """The column that a spec in any of its three forms stands for."""
    if isinstance(spec, str):
        nullable = spec.endswith("?")
        spec = ColumnSpec(type=spec.rstrip("?"), nulls=NULL_SHARE if nullable else 0)
    elif isinstance(spec, tuple):
        spec = ColumnSpec(values=spec)
    if spec.type not in semantic_types():
        raise UnknownName(f"semantic type ({where})", spec.type, semantic_types())
    kind = semantic_types()[spec.type]
    values = spec.values or kind.values
    if kind.source == "abstract" and kind.parent in ("", "any") and not values:
        raise WorlddbError(f"{where}: '{spec.type}' only groups other types; name a more exact one")
    return Column(
        key=key, name=key, type=spec.type, nullable=spec.nulls > 0, unique=spec.unique,
        values=values if kind.sql == "TEXT" else (), low=spec.low, high=spec.high, null_share=spec.nulls, like=spec.like,
        formula=spec.formula,
    )  # fmt: skip


def parse_states(chains: tuple[str, ...], where: str) -> Lifecycle:
    """The state machine that chains of states describe."""
    states: dict[str, None] = {}
    moves: dict[tuple[str, str], None] = {}
    for chain in chains:
        steps = [s.strip() for s in chain.split(">")]
        if len(steps) < 2 or not all(re.fullmatch(r"[a-z][a-z0-9_]*", s) for s in steps):
            raise WorlddbError(f"{where}: '{chain}' is no chain of states; write 'draft > sent > paid'")
        states.update(dict.fromkeys(steps))
        moves.update(dict.fromkeys(pairwise(steps)))
    first = [s.strip() for s in chains[0].split(">")]
    machine = Lifecycle(
        column="status", states=tuple(states), moves=tuple(moves), happy=tuple(dict.fromkeys(first)),
        stamps={s: f"{s}_at" for s in list(states)[1:]},
    )  # fmt: skip
    lost = [s for s in states if s not in machine.routes]
    if lost:
        raise WorlddbError(f"{where}: '{lost[0]}' cannot be reached from '{machine.initial}'; add the move to it")
    return machine


def _status_columns(lifecycle: Lifecycle | None) -> list[Column]:
    if lifecycle is None:
        return []
    stamps = [Column(key=k, name=k, type="stamp_at", nullable=True) for k in lifecycle.stamps.values()]
    return [Column(key="status", name="status", type="state", values=lifecycle.states), *stamps]
