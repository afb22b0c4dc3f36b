"""Domain files and archetypes: valid, rich, and refused with the file, the key and the cure when they are not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.golden import DOMAIN_SCHEMA
from worlddb.errors import BrokenFile, UnknownName
from worlddb.schema.domains import (
    archetypes,
    domain_names,
    expand,
    json_schema,
    load_domain,
    parse_states,
    read_domain,
    refuse_repeated_keys,
)
from worlddb.schema.rules import KINDS
from worlddb.semantics.types import is_a, semantic_types

ROOT = Path(__file__).parent.parent
NAMES = domain_names()
MISSING_FROM_PEERS = {"patient_record", "general_ledger", "compute_jobs", "short_video", "professional_network"}


def test_there_are_a_hundred_domains() -> None:
    assert len(NAMES) >= 100
    assert set(NAMES) >= MISSING_FROM_PEERS
    assert "settings" in archetypes()


def test_every_domain_of_the_reference_is_there() -> None:
    reference = ROOT.parent / "shared" / "reference" / "domains.yaml"
    if not reference.exists():
        pytest.skip("../shared/reference is not here")
    wanted = {d["id"] for d in yaml.safe_load(reference.read_text())["domains"]}
    assert wanted <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_domain_is_valid(name: str) -> None:
    domain = load_domain(name)
    schema = expand(domain)
    assert 6 <= len(domain.entities) <= 14
    assert len(domain.rules) >= 5
    assert any(t.lifecycle for t in schema.tables)
    for key, entity in domain.entities.items():
        assert not {key, *entity.aka} & {k for k in domain.entities if k != key}, "a synonym is another entity's name"
    for rule in domain.rules:
        assert rule.touches(schema)
        assert rule.say[0].isupper(), rule.say
        assert rule.say.endswith("."), rule.say


def test_no_file_has_a_key_twice() -> None:
    files = sorted((ROOT / "schemas").rglob("*.yaml"))
    assert len(files) > len(NAMES)
    assert [refuse_repeated_keys(path) for path in files] == [None] * len(files)


def test_all_files_follow_the_json_schema() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(DOMAIN_SCHEMA.read_text()))
    for name in NAMES:
        data = yaml.safe_load((ROOT / "schemas" / "domains" / f"{name}.yaml").read_bytes())
        assert not [e.message for e in validator.iter_errors(data)], name


def test_the_json_schema_is_up_to_date() -> None:
    assert json.loads(DOMAIN_SCHEMA.read_text()) == json_schema(), "run `make golden`"


def test_all_kinds_of_rules_are_in_use() -> None:
    used = Counter(r.kind for name in NAMES for r in load_domain(name).rules)
    assert set(used) == {k.__struct_config__.tag for k in KINDS}
    assert min(used.values()) >= 10


def test_entity_names_are_varied() -> None:
    words = Counter(w for name in NAMES for k, e in load_domain(name).entities.items() for w in {k, *e.aka})
    assert len(words) >= 2500


@pytest.mark.parametrize("name", archetypes())
def test_an_archetype_uses_known_types(name: str) -> None:
    kind = archetypes()[name]
    for spec in {**kind.columns, **kind.optional}.values():
        type_name = spec if isinstance(spec, str) else getattr(spec, "type", "category")
        assert type_name.rstrip("?") in semantic_types()
    assert not kind.title or kind.title in {**kind.columns, **kind.optional}


def test_states_are_parsed() -> None:
    machine = parse_states(("draft > sent > paid", "sent > draft", "sent > lost"), "here")
    assert machine.states == ("draft", "sent", "paid", "lost")
    assert machine.initial == "draft"
    assert machine.happy == ("draft", "sent", "paid")
    assert machine.routes["lost"] == ("draft", "sent", "lost")
    assert machine.exits("sent") == ("paid", "draft", "lost")
    assert machine.stamps["paid"] == "paid_at"


def test_a_stamp_wins_over_an_archetype_column_of_its_name() -> None:
    for name in NAMES:
        for table in expand(load_domain(name)).tables:
            for stamp in table.lifecycle.stamps.values() if table.lifecycle else ():
                assert is_a(table[stamp].type, "stamp_at"), (name, table.key, stamp)


GOOD = (ROOT / "schemas" / "domains" / "hotel.yaml").read_text()
BROKEN = [
    ("entities:\n", "entities: [\n", r"hotel\.yaml:\d+: .*mend the YAML there"),
    ("is: party", "is: partie", r"entities\.guest\.is.*'partie'.*did you mean 'party'"),
    ("stars: {type: star_rating", "stars: {type: star_ratting", r"entities\.property\.columns\.stars.*did you mean"),
    ("stars: {type: star_rating", "stars: {tipe: star_rating", r"entities\.property\.columns\.stars.*'tipe'"),
    (
        "parents: [property]",
        "parents: [propertie]",
        r"entities\.room_type\.parents.*'propertie'.*did you mean 'property'",
    ),
    ("kind: no_overlap", "kind: no_overlaps", r"rules\[0\]\.kind: .*'no_overlaps'"),
    ("id: hotel", "id: motel", r"id: 'motel' differs from the file's name"),
    ("tentative > confirmed", "tentative >> confirmed", r"entities\.reservation\.states.*is no chain of states"),
    ("  guest:\n", "  guest:\n    is: party\n  guest:\n", r"hotel\.yaml:\d+: the key 'guest' stands twice"),
    ("drop: [", "drop: [wings, ", r"entities\.\w+\.drop: archetype .* has no column 'wings'"),
    (
        "max_guests: {type: capacity, low: 2, high: 6}",
        "max_guests: {type: capacity, low: 9, high: 6}",
        r"max_guests: low 9 is above high 6",
    ),
    ("at_most: room_type.max_guests", "at_most: room_type.max_guest", r"rules\[\d+\] \(cap\).*no column 'max_guest'"),
]


@pytest.mark.parametrize(("old", "new", "message"), BROKEN)
def test_a_broken_file_gets_the_file_the_key_and_the_cure(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in GOOD
    path = tmp_path / "hotel.yaml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(BrokenFile, match=message) as caught:
        read_domain(path)
    assert "hotel.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_names(tmp_path: Path) -> None:
    with pytest.raises(BrokenFile, match="there is no such file"):
        read_domain(tmp_path / "nowhere.yaml")
    with pytest.raises(UnknownName, match="did you mean 'hotel'"):
        load_domain("hotl")
