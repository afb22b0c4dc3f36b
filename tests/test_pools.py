"""Pools: shipped data, coherence groups, broken folders, and building pools for any locale."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from worlddb.errors import BadRequest, BrokenFile, UnknownName
from worlddb.library import folder
from worlddb.rng import Stream
from worlddb.semantics.build import SHIPPED, ascii_of, build_pools, tables
from worlddb.semantics.codes import ALPHABETS
from worlddb.semantics.draw import draw
from worlddb.semantics.groups import companies, people, places, reviews
from worlddb.semantics.pools import Place, Pools, load_pools
from worlddb.semantics.recognise import recognises
from worlddb.semantics.types import semantic_types

POOLS = load_pools()
N = 400


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pools of two locales without a file in seeds/places, one of them not in Latin letters."""
    out = tmp_path_factory.mktemp("pools")
    build_pools(out, ["cs_CZ", "ja_JP"], seed=3)
    return out


# --- what is shipped


def test_the_shipped_folder_is_small_and_loads_fast() -> None:
    size = sum(p.stat().st_size for p in (folder("seeds") / "pools").glob("*.json"))
    assert size < 3_000_000
    from worlddb.semantics.pools import _load

    taken = []
    for _ in range(3):
        _load.cache_clear()
        started = time.perf_counter()
        load_pools()
        taken.append(time.perf_counter() - started)
    assert min(taken) < 0.06


def test_the_shipped_folder_is_what_its_sources_build(tmp_path: Path) -> None:
    """The tables and the hand-written words do not depend on Faker's version; names do, where it is the same."""
    import faker

    manifest = json.loads((folder("seeds") / "pools" / "manifest.json").read_text())
    build_pools(tmp_path, ["en_US"])
    new = json.loads((tmp_path / "manifest.json").read_text())
    assert new["files"]["common.json"] == manifest["files"]["common.json"]
    if manifest["faker"] == faker.VERSION:
        assert new["files"]["en_US.json"] == manifest["files"]["en_US.json"]


def test_there_are_about_ten_locales_with_enough_of_everything() -> None:
    assert POOLS.locales == SHIPPED
    assert len(POOLS.digest) == 64
    for locale in POOLS.locales:
        assert len(POOLS.cities(locale)) >= 15
        for name, least in {"first_any": 150, "last": 100, "street": 130, "company": 400, "job": 30}.items():
            assert len(POOLS.words(name, locale)) >= least, (locale, name)


@pytest.mark.parametrize("locale", SHIPPED)
def test_cities_are_plausible(locale: str) -> None:
    zones = set()
    for city in POOLS.cities(locale):
        assert city.name
        assert city.region
        assert -9_000_000 <= city.latitude <= 9_000_000
        zones.add(city.timezone)
        assert recognises("timezone", city.timezone)
        assert recognises("state_abbr", city.code)
    assert len({c.name for c in POOLS.cities(locale)}) == len(POOLS.cities(locale))
    assert len(zones) <= 7


@pytest.mark.parametrize(
    "name",
    [n for k in ("note", "comment", "chat", "description") for n in (f"{k}_1",)]
    + ["reason", "case_title", "document_title"],
)
def test_phrases_are_many(name: str) -> None:
    words = POOLS.words(name).tolist()
    assert len(words) >= 60
    assert not [w for w in words if "{" in w or "lorem" in w.lower()]


def test_texts_vary() -> None:
    for name, least in {
        "note": 600,
        "comment_body": 600,
        "description": 600,
        "review_text": 300,
        "message_body": 500,
    }.items():
        assert len(set(draw(name, Stream(1), 1000, POOLS, "en_US").tolist())) > least, name


def test_quantile_tables_rise_and_are_centred() -> None:
    for name in tables():
        table = POOLS.quantiles(name)
        assert table.shape == (4096,)
        assert table.dtype == np.int64
        assert (np.diff(table) >= 0).all(), name
    assert abs(int(POOLS.quantiles("normal").sum())) < 10
    assert abs(int(POOLS.quantiles("lognormal_1.0")[2047]) - 65536) < 100


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(UnknownName, match="no locale named 'en_UK'"):
        draw("city", Stream(1), 3, POOLS, "en_UK")
    with pytest.raises(UnknownName, match="no pool"):
        POOLS.words("nothing")
    with pytest.raises(UnknownName, match="no quantile table"):
        POOLS.quantiles("gamma")


# --- coherence


@pytest.mark.parametrize("locale", SHIPPED)
def test_people_agree_with_themselves(locale: str) -> None:
    made = people(Stream(1), N, POOLS, locale)
    firsts = dict(
        zip(
            POOLS.words("first_any", locale),
            [*POOLS.words("first_female_ascii", locale), *POOLS.words("first_male_ascii", locale)],
            strict=True,
        )
    )
    for first, last, full, email, user, work in zip(
        *(made[k] for k in ("first_name", "last_name", "full_name", "email", "username", "company_email")), strict=True
    ):
        assert full == f"{first} {last}"
        assert email.isascii()
        assert email.startswith(firsts[first])
        assert ascii_of(last)[:24] in email
        assert user[0] == firsts[first][0]
        assert work.startswith(f"{firsts[first]}.{ascii_of(last)[:24]}")
    for key in ("email", "username", "company_email"):
        assert len(set(made[key].tolist())) == N
    assert len({e.split("@")[1] for e in made["company_email"]}) == 1


def test_gender_agrees_with_the_name() -> None:
    made = people(Stream(2), N, POOLS, "de_DE")
    female = set(POOLS.words("first_female", "de_DE")) - set(POOLS.words("first_male", "de_DE"))
    rows = [
        g for g, f in zip(made["gender"], made["first_name"], strict=True) if f in female and g in ("female", "male")
    ]
    assert len(rows) > N / 3
    assert set(rows) == {"female"}


def _fits(text: str, spec: str) -> bool:
    return len(text) == len(spec) and all(c in ALPHABETS.get(s, s) for c, s in zip(text, spec, strict=True))


@pytest.mark.parametrize("locale", SHIPPED)
def test_places_agree_with_themselves(locale: str) -> None:
    """Region, code, postcode, phone, coordinates and time zone are those of the row's city."""
    made = places(Stream(3), N, POOLS, locale)
    facts = POOLS.facts(locale)
    cities: dict[str, Place] = {c.name: c for c in POOLS.cities(locale)}
    for i in range(N):
        city = cities[made["city"][i]]
        assert made["state_region"][i] == city.region
        assert made["state_abbr"][i] == city.code
        assert made["timezone"][i] == city.timezone
        assert _fits(made["postal_code"][i], city.postcode)
        assert _fits(made["phone_number"][i], facts["phone"].replace("{area}", city.area))
        assert abs(made["latitude"][i] * 100000 - city.latitude) < 4001
        assert abs(made["longitude"][i] * 100000 - city.longitude) < 4001
        assert made["street_address"][i] in made["full_address"][i]
        assert made["postal_code"][i] in made["full_address"][i]
        assert json.loads(made["address_json"][i])["city"] == city.name
    assert set(made["currency_code"]) == {facts["currency"]}
    assert set(made["country_code"]) == {facts["country_code"]}


def test_companies_agree_with_themselves() -> None:
    for n in (N, 3000):
        made = companies(Stream(4), n, POOLS, "fr_FR")
        assert len(set(made["company_name"].tolist())) == n
        assert len(set(made["domain_name"].tolist())) == n
        for domain, url, email in zip(made["domain_name"], made["url"], made["company_email"], strict=True):
            assert url == f"https://www.{domain}"
            assert email.endswith(f"@{domain}")
        assert set(made["country_code"]) == {"FR"}


def test_members_do_not_depend_on_which_others_are_asked_for() -> None:
    for group in (people, places, companies):
        whole = group(Stream(5), 50, POOLS, "nl_NL")
        for key in whole:
            alone = group(Stream(5), 50, POOLS, "nl_NL", keys=[key])
            assert list(alone) == [key]
            assert alone[key].tolist() == whole[key].tolist()


def test_group_members_are_semantic_types_and_recognised() -> None:
    for group in (people, places, companies):
        for key, column in group(Stream(6), 100, POOLS, "en_AU").items():
            assert key in semantic_types()
            assert [v for v in column.tolist() if not recognises(key, v)] == [], key


def test_reviews_agree_with_their_stars() -> None:
    made = reviews(Stream(7), 2000, POOLS)
    for stars in (1, 2, 3, 4, 5):
        openings = tuple(POOLS.words(f"review{stars}_1").tolist())
        mine = made["review_text"][made["star_rating"] == stars]
        assert len(mine) > 50
        assert all(text.startswith(openings) for text in mine)


# --- broken folders


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    out = tmp_path / "pools"
    shutil.copytree(folder("seeds") / "pools", out)
    return out


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "de_DE.json").unlink()
    with pytest.raises(BrokenFile, match=r"de_DE\.json: cannot be read.*worlddb pools build"):
        load_pools(copy)
    with pytest.raises(BrokenFile, match=r"manifest\.json: cannot be read"):
        load_pools(copy / "nowhere")


def test_a_changed_word_is_found(copy: Path) -> None:
    path = copy / "en_US.json"
    path.write_text(path.read_text(encoding="utf-8").replace("Boston", "Bostom"), encoding="utf-8")
    with pytest.raises(BrokenFile, match=r"en_US\.json: digest"):
        load_pools(copy)


def test_a_new_layout_changes_nothing(copy: Path) -> None:
    path = copy / "common.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")), sort_keys=True), encoding="utf-8")
    assert load_pools(copy).digest == POOLS.digest


@pytest.mark.parametrize("text", ["", "{", "[]", '{"words": {}, "quantiles": {"normal": ["x"]}}'])
def test_a_corrupt_file_is_one_clear_line(copy: Path, text: str) -> None:
    (copy / "common.json").write_text(text)
    with pytest.raises(BrokenFile, match=r"common\.json") as caught:
        load_pools(copy)
    assert "\n" not in str(caught.value)


def test_a_manifest_that_lies_is_found(copy: Path) -> None:
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    for change in ({"digest": "0" * 64}, {"version": 99}, {"locales": ["en_US"]}):
        path.write_text(json.dumps({**manifest, **change}))
        with pytest.raises(BrokenFile, match=r"manifest\.json"):
            load_pools(copy)


# --- building


def test_any_locale_can_be_built(built: Path) -> None:
    pools = load_pools(built)
    assert pools.locales == ("cs_CZ", "ja_JP")
    assert pools.digest != POOLS.digest
    _all_types(pools, "cs_CZ")
    _all_types(pools, "ja_JP")


def _all_types(pools: Pools, locale: str) -> None:
    for name, kind in semantic_types().items():
        if kind.source != "abstract":
            assert len(draw(name, Stream(1), 30, pools, locale)) == 30


def test_a_built_locale_is_coherent(built: Path) -> None:
    pools = load_pools(built)
    for locale, country in (("cs_CZ", "CZ"), ("ja_JP", "JP")):
        made = places(Stream(1), 200, pools, locale)
        assert set(made["country_code"]) == {country}
        cities = {c.name: c for c in pools.cities(locale)}
        for city, postal in zip(made["city"], made["postal_code"], strict=True):
            assert _fits(postal, cities[city].postcode)
        mails = people(Stream(1), 200, pools, locale)["email"].tolist()
        assert all(recognises("email", m) for m in mails)
        assert len(set(mails)) == 200


def test_building_is_deterministic(built: Path, tmp_path: Path) -> None:
    build_pools(tmp_path, ["cs_CZ", "ja_JP"], seed=3)
    for path in built.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_what_cannot_be_built_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no locale named 'sv_SW'; did you mean"):
        build_pools(tmp_path, ["sv_SW"])
    with pytest.raises(BadRequest, match="at least one locale"):
        build_pools(tmp_path, [])
    (tmp_path / "file").write_text("")
    with pytest.raises(BadRequest, match="cannot be written"):
        build_pools(tmp_path / "file", ["en_GB"])


@pytest.mark.parametrize(
    ("text", "handle"),
    [("Jürgen Groß", "juergengross"), ("Łukasz", "lukasz"), ("Søren", "soeren"), ("Ольга", "olga"), ("太郎", "")],
)
def test_names_become_ascii(text: str, handle: str) -> None:
    assert ascii_of(text) == handle
