"""The words of tools: nouns, fields and verbs of random schemas, and the English in which they are written."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from worlddb.errors import BrokenFile, UnknownName
from worlddb.rng import Stream
from worlddb.schema import decorate
from worlddb.schema.domains import domain_names, domain_schema, load_domain, parse_states
from worlddb.schema.grow import grow
from worlddb.schema.model import Column, ForeignKey, Lifecycle, Schema, Table
from worlddb.tools import words
from worlddb.tools.words import (
    NO_FIELD,
    NO_PARAMETER,
    Verb,
    Vocabulary,
    article,
    listing,
    plain,
    plural,
    sentence,
    singular,
    state_word,
    synonyms,
    verb,
)

FILE = Path(__file__).parent.parent / "schemas" / "naming" / "verbs.yaml"
DOMAINS = domain_names()
WORD = re.compile(r"[a-z][a-z0-9_]*")


@cache
def grown(domain: str) -> tuple[Vocabulary, ...]:
    """Five schemas of the domain, from small to large, each in another company's style."""
    schemas = (grow(Stream(seed, domain), size, domain) for seed, size in enumerate((4, 8, 12, 18, 26)))
    return tuple(Vocabulary(s) for s in schemas)


def entity_names(table: Table) -> tuple[str, ...]:
    entity = load_domain(table.origin).entities.get(table.key) if table.origin else None
    return (table.key, *(entity.aka if entity else ()))


def machines() -> list[tuple[str, Lifecycle]]:
    """Every lifecycle that a world may have, with the key of its entity."""
    found = [(t.key, t.lifecycle) for d in DOMAINS for t in domain_schema(d).tables if t.lifecycle]
    return found + [(kind, parse_states(chains, kind)) for kind, chains in decorate._STATES.items()]


MACHINES = machines()


# --- schemas


@pytest.mark.parametrize("domain", DOMAINS)
def test_nouns_are_unique_and_well_formed(domain: str) -> None:
    for voc in grown(domain):
        taken: set[str] = set()
        for table in voc.schema.tables:
            pair = {voc.noun(table.key), voc.nouns(table.key)}
            assert all(WORD.fullmatch(w) and w not in NO_PARAMETER for w in pair), pair
            assert not pair & taken, (voc.schema.style, pair)
            taken |= pair


def test_nouns_are_what_the_company_calls_the_entity() -> None:
    tables = [(v, t) for d in DOMAINS for v in grown(d) for t in v.schema.tables]
    wrong = [(t.name, v.noun(t.key)) for v, t in tables if v.noun(t.key) not in entity_names(t)]
    assert len(tables) > 5000
    assert len(wrong) < 0.003 * len(tables), wrong


@pytest.mark.parametrize("domain", DOMAINS)
def test_fields_are_unique_and_fit_to_be_parameters(domain: str) -> None:
    for voc in grown(domain):
        keys = {f"{voc.noun(t.key)}_id" for t in voc.schema.tables}
        for table in voc.schema.tables:
            fields = {c.key: voc.field(table.key, c.key) for c in table.columns}
            assert len(set(fields.values())) == len(fields), (table.name, fields)
            for key, word in fields.items():
                assert WORD.fullmatch(word), (table.name, word)
                assert word not in keys, (table.name, word)
                if key not in table.parents:
                    assert word == "id" if (key,) == table.primary_key else word not in NO_FIELD, (table.name, word)
            roles = {f"{fields[k]}_id" for k in table.parents}
            assert not roles & set(fields.values()), (table.name, fields)


def test_references_are_called_by_their_role() -> None:
    keys = [(v, t, f) for d in DOMAINS for v in grown(d) for t, f in v.schema.edges()]
    wrong = [
        (v.schema.style, t[f.columns[0]].name, v.field(t.key, f.columns[0]))
        for v, t, f in keys
        if v.field(t.key, f.columns[0]) != (v.noun(f.table) if f.key == f.table else f.key)
    ]
    assert len(keys) > 8000
    assert len(wrong) < 0.002 * len(keys), wrong


def test_two_companies_have_different_words() -> None:
    hotels = [Vocabulary(grow(Stream(seed), 10, "hotel")) for seed in range(12)]
    called = {v.noun("reservation") for v in hotels if "reservation" in v.schema}
    assert called > {"reservation", "stay"}


def test_words_are_a_pure_function_of_the_schema() -> None:
    def everything(schema: Schema) -> list[object]:
        voc = Vocabulary(schema)
        return [
            (voc.noun(t.key), [voc.field(t.key, c.key) for c in t.columns], voc.moves(t.key)) for t in schema.tables
        ]

    for voc in grown("hotel"):
        backwards = Vocabulary(voc.schema)
        for table in reversed(voc.schema.tables):
            backwards.moves(table.key), backwards.field(table.key, table.columns[-1].key), backwards.noun(table.key)
        again = [
            (backwards.noun(t.key), [backwards.field(t.key, c.key) for c in t.columns], backwards.moves(t.key))
            for t in voc.schema.tables
        ]
        assert everything(voc.schema) == again


def imported(**tables: str) -> Vocabulary:
    """A schema as it is read from a file: keys equal names; the first column is the key; 'x>T' refers to T."""
    made = []
    for name, spec in tables.items():
        names, keys = [], []
        for part in spec.split():
            column, _, parent = part.partition(">")
            names.append(column)
            if parent:
                keys.append(ForeignKey(key=column, columns=(column,), table=parent, ref=("id",)))
        columns = tuple(Column(key=n, name=n, type="surrogate_id" if i == 0 else "text") for i, n in enumerate(names))
        made.append(
            Table(key=name, name=name, archetype="", columns=columns, primary_key=(names[0],), foreign_keys=tuple(keys))
        )
    return Vocabulary(Schema(domain="shop", title="shop", tables=tuple(made)))


@pytest.mark.parametrize(
    ("names", "nouns"),
    [
        ("Customers OrderLines", "customer order_line"),
        ("tblCustomers tblOrder_Details", "customer order_detail"),
        ("TBL_CUSTOMER TBL_ORDER", "customer order"),
        ("crm_account crm_contact crm_deal", "account contact deal"),
        ("film film_actor film_category film_text", "film film_actor film_category film_text"),
        ("customer_master item_master order_master", "customer item order"),
        ("price_list shopping_list orders", "price_list shopping_list order"),
        ("settings address news", "settings address news"),
        ("settings addresses orders", "setting address order"),
        ("order orders", "order orders_2"),
        ("Übungen Straße Œuvres", "ubungen strasse oeuvre"),
        ("2020_sales 顧客 注文", "n2020_sale record record_2"),
        ("class import orders", "class_2 import_2 order"),
        ("acct_tbl inv_tbl pmt_tbl", "account invoice payment"),
        ("accounts inv pmt", "account inv payment"),
    ],
)
def test_names_are_cleaned(names: str, nouns: str) -> None:
    voc = imported(**{n: f"id {n}_x" for n in names.split()})
    assert [voc.noun(n) for n in names.split()] == nouns.split()


@pytest.mark.parametrize(
    ("columns", "fields"),
    [
        ("RoomID FirstName eMail", "id first_name e_mail"),
        ("id room_id>T fk_guest>T id_agent>T", "id room guest agent"),
        ("id ReportsTo>T owner_ref>T cust_no>T", "id reports_to owner customer"),
        ("id t_id>T code>T", "id t t_t"),
        ("id country country_id>T", "id t_country country"),
        ("id order_ group_ from class", "id order group t_from t_class"),
        ("id limit offset sort", "id t_limit t_offset t_sort"),
        ("res_id res_status res_from res_to res_adults", "id status res_from to adults"),
        ("id qty acct_no ref_no total_amt dt", "id quantity account_number ref_number total_amount dt"),
        ("id t_id x", "id t_ref x"),
        ("id Name name_ NAME__", "id name t_name t_name_2"),
        ("id 価格 2nd_name", "id value n2nd_name"),
    ],
)  # fmt: skip
def test_columns_are_cleaned(columns: str, fields: str) -> None:
    voc = imported(T=columns, other="id")
    assert [voc.field("T", c.key) for c in voc.schema["T"].columns] == fields.split()


def test_a_key_that_says_something_keeps_its_word() -> None:
    voc = imported(country="iso_code name")
    table = voc.schema["country"]
    columns = (replace(table["iso_code"], type="identifier"), table["name"])
    voc = Vocabulary(replace(voc.schema, tables=(replace(table, columns=columns),)))
    assert voc.field("country", "iso_code") == "iso_code"


@given(st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True))
def test_any_name_gives_a_word(names: list[str]) -> None:
    columns = tuple(Column(key=n, name=n, type="text") for n in names)
    tables = tuple(Table(key=n, name=n, archetype="", columns=columns, primary_key=()) for n in names)
    voc = Vocabulary(Schema(domain="", title="", tables=tables))
    made = [voc.noun(n) for n in names]
    assert len({*made}) == len(names)
    assert all(WORD.fullmatch(w) for w in made)
    fields = [voc.field(names[0], n) for n in names]
    assert len({*fields}) == len(names)
    assert all(WORD.fullmatch(w) and w not in NO_FIELD for w in fields)


# --- verbs


def test_every_state_that_is_entered_has_an_entry() -> None:
    entered = {after for _, m in MACHINES for _, after in m.moves}
    known = yaml.safe_load(FILE.read_bytes())["states"]
    assert len(entered) > 290
    assert not entered - set(known)


def test_every_entry_is_used() -> None:
    used = set()
    for entity, machine in MACHINES:
        for before, after in machine.moves:
            for key in (f"{before}>{after}", after):
                used |= {key, f"{entity}.{key}"}
    assert not set(yaml.safe_load(FILE.read_bytes())["states"]) - used


@pytest.mark.parametrize(("entity", "machine"), MACHINES, ids=[f"{e}-{n}" for n, (e, _) in enumerate(MACHINES)])
def test_states_of_one_lifecycle_have_different_verbs(entity: str, machine: Lifecycle) -> None:
    leads_to: dict[str, str] = {}
    for before, after in machine.moves:
        found = verb(after, origin=before, entity=entity)
        assert WORD.fullmatch(found.name("noun"))
        assert leads_to.setdefault(found.name("noun"), after) == after, found


def test_moves_of_a_world_name_their_state() -> None:
    seen = 0
    for voc in (v for d in DOMAINS for v in grown(d)):
        for table in voc.schema.tables:
            moves = voc.moves(table.key)
            assert set(moves) == set(table.lifecycle.moves if table.lifecycle else ())
            pairs = {(v.imperative, after) for (_, after), v in moves.items()}
            assert len({name for name, _ in pairs}) == len(pairs)
            seen += len(moves)
    assert seen > 3000


def test_a_verb_that_two_states_would_share_marks_the_second() -> None:
    machine = Lifecycle(
        column="s", states=("a", "void", "voided"), moves=(("a", "void"), ("a", "voided")), happy=("a",)
    )
    voc = imported(T="id s")
    table = replace(voc.schema["T"], lifecycle=machine)
    moves = Vocabulary(replace(voc.schema, tables=(table,))).moves("T")
    assert [v.imperative for v in moves.values()] == ["void", "mark_{noun}_as_voided"]


@pytest.mark.parametrize(
    ("state", "origin", "entity", "name", "phrase", "past"),
    [
        ("CHECKED_IN", "", "", "check_in_order", "check in", "checked in"),
        ("Checked in", "", "", "check_in_order", "check in", "checked in"),
        ("checked-in", "Confirmed", "reservation", "check_in_order", "check in", "checked in"),
        ("No show", "", "", "mark_order_as_no_show", "mark as no-show", "marked as no-show"),
        ("on_hold", "", "", "put_order_on_hold", "put on hold", "put on hold"),
        ("online", "", "", "bring_order_online", "bring online", "brought online"),
        ("active", "draft", "", "activate_order", "activate", "activated"),
        ("active", "PAUSED", "", "resume_order", "resume", "resumed"),
        ("active", "planned", "sprint", "start_order", "start", "started"),
        ("cancelled", "", "", "cancel_order", "cancel", "cancelled"),
        ("written_off", "", "", "write_off_order", "write off", "written off"),
        ("denied", "", "", "deny_order", "deny", "denied"),
        ("shipped", "", "", "ship_order", "ship", "shipped"),
        ("boarding", "", "", "start_boarding_order", "start boarding", "taken into boarding"),
        ("paid", "", "invoice", "mark_order_as_paid", "mark as paid", "marked as paid"),
        ("paid", "", "refund", "pay_order", "pay", "paid"),
        ("wont_fix", "", "", "close_order_as_wont_fix", "close as won't fix", "closed as won't fix"),
        ("restocked", "", "", "restock_order", "restock", "restocked"),
        ("embedded", "", "", "embed_order", "embed", "embedded"),
        ("certified", "", "", "certify_order", "certify", "certified"),
        ("Backed up", "", "", "back_up_order", "back up", "backed up"),
        ("kaput", "", "", "mark_order_as_kaput", "mark as kaput", "marked as kaput"),
        ("needs_more_work", "", "", "mark_order_as_needs_more_work", "mark as needs more work", "marked as needs more work"),
    ],
)  # fmt: skip
def test_verbs(state: str, origin: str, entity: str, name: str, phrase: str, past: str) -> None:
    found = verb(state, origin=origin, entity=entity)
    assert (found.name("order"), found.phrase, found.past) == (name, phrase, past)


@pytest.mark.parametrize(
    "pair",
    [
        "activated:activate", "archived:archive", "audited:audit", "authored:author", "avoided:avoid", "booked:book",
        "bundled:bundle", "called:call", "changed:change", "claimed:claim", "closed:close", "compiled:compile",
        "completed:complete", "created:create", "decided:decide", "developed:develop", "edited:edit",
        "enabled:enable", "executed:execute", "exceeded:exceed", "flagged:flag", "installed:install",
        "invited:invite", "loaded:load", "managed:manage", "needed:need", "opted_in:opt_in", "planned:plan",
        "prepared:prepare", "processed:process", "quoted:quote", "required:require", "scored:score", "sealed:seal",
        "settled:settle", "stored:store", "subscribed:subscribe", "targeted:target", "trained:train", "treated:treat",
        "tuned:tune", "valued:value",
    ],
)  # fmt: skip
def test_regular_participles_turn_back(pair: str) -> None:
    participle, base = pair.split(":")
    assert words._base(participle) == base


def test_most_verbs_are_what_their_participle_says() -> None:
    """The rule agrees with the file wherever the file gives the plain verb of a regular participle."""
    states = yaml.safe_load(FILE.read_bytes())["states"]
    regular = {s: v for s, v in states.items() if isinstance(v, str) and WORD.fullmatch(s) and words._past(v) == s}
    assert len(regular) > 80
    wrong = {s: words._base(s) for s, v in regular.items() if words._base(s) != v}
    assert not wrong


def test_a_verb_says_what_it_is_done_to() -> None:
    assert verb("no_show").of("a booking") == "mark a booking as no-show"
    assert verb("checked_in").of("the booking") == "check in the booking"
    assert verb("agreed").of("the handover") == "agree to the handover"


def test_synonyms_are_disjoint_and_the_usual_one_is_first() -> None:
    actions = yaml.safe_load(FILE.read_bytes())["actions"]
    every = [v.imperative for a in actions for v in synonyms(a)]
    assert len(set(every)) == len(every)
    assert synonyms("get")[0] == Verb("get", "got")
    assert synonyms("find")[1].name("room") == "look_up_room"
    assert synonyms("check_availability")[1].name("room") == "is_room_free"
    with pytest.raises(UnknownName, match="did you mean 'create'"):
        synonyms("creat")


# --- spelling


@pytest.mark.parametrize(
    "pair",
    [
        "order:orders", "order_line:order_lines", "address:addresses", "status:statuses", "category:categories",
        "key:keys", "tax:taxes", "box:boxes", "branch:branches", "dish:dishes", "case:cases", "house:houses",
        "course:courses", "expense:expenses", "purchase:purchases", "cause:causes", "license:licenses", "use:uses",
        "nurse:nurses", "size:sizes", "cache:caches", "movie:movies", "tie:ties", "analysis:analyses",
        "diagnosis:diagnoses", "person:people", "child:children", "criterion:criteria", "man:men", "foot:feet",
        "shelf:shelves", "leaf:leafs", "virus:viruses", "bus:buses", "campus:campuses", "lens:lenses", "gas:gases",
        "alias:aliases", "area:areas", "quota:quotas", "menu:menus", "ad:ads", "app:apps", "sku:skus", "shoe:shoes",
        "hero:heroes", "quiz:quizzes", "staff:staff", "news:news", "series:series", "data:data", "settings:settings",
        "equipment:equipment", "unit_of_measure:units_of_measure", "delivery_address:delivery_addresses",
    ],
)  # fmt: skip
def test_singular_and_plural(pair: str) -> None:
    one, many = pair.split(":")
    assert plural(one) == many
    assert singular(many) == (one if one != "settings" else "setting")
    assert singular(one) == (one if one != "settings" else "setting")


def test_a_plural_in_the_wrong_place_turns_back_too() -> None:
    assert singular("port_of_calls") == "port_of_call"


def test_every_entity_word_has_a_plural_that_turns_back() -> None:
    """But for words that are plural already, which only a look at the other tables tells."""
    entities = {w for d in DOMAINS for k, e in load_domain(d).entities.items() for w in (k, *e.aka)}
    same = words._words().same
    wrong = {w for w in entities if singular(plural(w)) != w and w.split("_")[-1] not in same}
    assert len(entities) > 3000
    assert wrong <= {w for w in entities if w.endswith("good")}, wrong


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("check_in_from", "check-in from"),
        ("check_interval", "check interval"),
        ("customer_id", "customer ID"),
        ("skus", "SKUs"),
        ("vat_rate", "VAT rate"),
        ("no_show_fee", "no-show fee"),
        ("e_mail", "e-mail"),
    ],
)
def test_plain_words(word: str, text: str) -> None:
    assert plain(word) == text


@pytest.mark.parametrize(
    "text",
    [
        "an apartment", "a booking", "an hour", "a house", "an honorary member", "a user", "a unit", "an undo step",
        "a union", "a university", "an unidentified caller", "an usher", "a utility", "an urgent case", "an RFQ",
        "an SKU", "a URL", "an ID", "an SMS", "a one-time code", "an order", "a European office", "an 8-hour shift",
        "an X-ray", "an umbrella", "a usage record", "a euro", "an uninsured driver",
    ],
)  # fmt: skip
def test_articles(text: str) -> None:
    assert article(text.partition(" ")[2]) == text


def test_sentences_and_listings() -> None:
    assert sentence("lists rooms") == "Lists rooms."
    assert sentence("Is it free?") == "Is it free?"
    assert sentence(" done. ") == "Done."
    assert sentence("") == ""
    assert [listing(["a", "b", "c"][:n]) for n in range(4)] == ["", "a", "a or b", "a, b or c"]
    assert listing(("x", "y"), "and") == "x and y"


@given(st.text())
def test_any_state_is_a_word(value: str) -> None:
    assert WORD.fullmatch(state_word(value))
    assert WORD.fullmatch(verb(value).name("order"))


# --- the file


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cancelled: cancel", "cancelled: cancel_{noun}", r"states\.cancelled: .*needs no \{noun\}.*write 'cancel'"),
        ("cancelled: cancel", "cancelled: Cancel it", r"states\.cancelled: 'Cancel it' is no verb; write"),
        ("cancelled: cancel", "cancelled: {verb: cancel}", r"missing required field `past`"),
        (
            "paused>active: resume",
            '"paused > active": resume',
            r"states\.paused > active: no state; write state, from>to",
        ),
        ("get: [get, fetch", "get: []\n  fetch: [fetch", r"actions\.get: no verb"),
        ("same: [", "samme: [", r"unknown field `samme`|missing required field `same`"),
        ("actions:\n", "actions: [\n", r"verbs\.yaml:\d+: .*mend the YAML there"),
    ],
)
def test_a_broken_file_gets_the_key_and_the_cure(
    old: str, new: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = FILE.read_text()
    assert old in text
    (tmp_path / "naming").mkdir()
    (tmp_path / "naming" / "verbs.yaml").write_text(text.replace(old, new, 1))
    monkeypatch.setattr(words, "folder", lambda name: tmp_path)
    with pytest.raises(BrokenFile, match=message):
        words._words.__wrapped__()
