"""Builds a folder of pools: hand-written words and phrases, cities, and names from the installed Faker.

Used to make seeds/pools/, and by `worlddb pools build` for other locales.  Nothing else imports Faker.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

from worlddb.errors import BadRequest, BrokenFile, UnknownName
from worlddb.library import folder
from worlddb.rng import Stream
from worlddb.semantics.codes import LETTERS
from worlddb.semantics.pools import VERSION, canonical, overall

SHIPPED = ("en_US", "en_GB", "en_AU", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pt_BR", "pl_PL", "sv_SE")
"""The locales of seeds/pools/."""

SIZES = {"first_female": 400, "first_male": 400, "last": 800, "street": 500, "company": 500, "job": 360}
"""How many different words of each kind Faker is asked for, at most."""

VARIANTS = 6
"""How many sentences a phrase with slots becomes."""

ONE = 1 << 16
"""The scale of quantile tables: 1.0; `clock_` tables hold seconds of the day."""

POINTS = 4096

CLOCKS = {
    "business": (0, 0, 0, 0, 0, 0, 1, 4, 16, 30, 32, 28, 16, 24, 30, 30, 26, 16, 7, 4, 3, 2, 1, 0),
    "leisure": (4, 2, 1, 1, 1, 1, 3, 7, 9, 9, 10, 11, 13, 12, 11, 11, 13, 17, 22, 27, 30, 28, 20, 10),
    "any": (1,) * 24,
}
"""Weights of the hours of a day."""

ROMAN = {
    **dict(zip("абвгдезийклмнопрстуфхыэіїґ", "abvgdeziyklmnoprstufhyeiig", strict=True)),
    **{
        "ё": "yo",
        "ж": "zh",
        "ц": "ts",
        "ч": "ch",
        "ш": "sh",
        "щ": "shch",
        "ъ": "",
        "ь": "",
        "ю": "yu",
        "я": "ya",
        "є": "ye",
    },
    **dict(zip("αβγδεζηικλμνξοπρσςτυφωάέήίόύώ", "avgdeziiklmnxoprsstyfoaeiioyo", strict=True)),
    **{"θ": "th", "χ": "ch", "ψ": "ps"},
    **{
        "ä": "ae",
        "ö": "oe",
        "ü": "ue",
        "ß": "ss",
        "å": "aa",
        "æ": "ae",
        "ø": "oe",
        "œ": "oe",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "\u0131": "i",
    },
}


def ascii_of(text: str) -> str:
    """The text as it stands in addresses: a-z and 0-9 only, 'Jürgen' → 'juergen'; '' where nothing is left.

    >>> ascii_of("Łukasz O'Brien")
    'lukaszobrien'
    """
    folded = "".join(ROMAN.get(c, c) for c in unicodedata.normalize("NFC", text.lower()))
    bare = unicodedata.normalize("NFKD", folded).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]", "", bare)


def build_pools(out: Path, locales: Sequence[str] = SHIPPED, seed: int = 0) -> None:
    """Write a folder of pools for these locales; any that Faker knows will do.

    The content depends on the locales, the seed, seeds/pools/sources, seeds/places and the version of Faker.

    Raises:
        BadRequest: no locales, or the folder cannot be written.
        UnknownName: Faker does not know a locale.
    """
    from faker import VERSION as FAKER

    if not locales:
        raise BadRequest("name at least one locale, for example en_US")
    content: dict[str, Any] = {"common.json": _common(Stream(seed, "pools"))}
    for locale in dict.fromkeys(locales):
        content[f"{locale}.json"] = _locale(locale, seed)
    files = {name: canonical(value) for name, value in content.items()}
    manifest = {
        "version": VERSION,
        "digest": overall(files),
        "faker": FAKER,
        "locales": list(dict.fromkeys(locales)),
        "files": files,
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, value in {"manifest.json": manifest, **content}.items():
            (out / name).write_text(_layout(value) + "\n", encoding="utf-8", newline="\n")
    except OSError as error:
        raise BadRequest(f"{out}: cannot be written ({error.strerror}); choose another folder") from None


def _layout(value: Any, indent: str = "") -> str:
    """JSON that diffs well: one item a line; numbers sixteen a line, cities one a line."""
    if isinstance(value, dict):
        rows = [f"{indent} {json.dumps(k)}: {_layout(v, indent + ' ')}" for k, v in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}" if rows else "{}"
    if not isinstance(value, list) or not indent:
        return json.dumps(value, ensure_ascii=False)
    if value and isinstance(value[0], int):
        lines = [", ".join(map(str, value[i : i + 16])) for i in range(0, len(value), 16)]
    else:
        lines = [json.dumps(v, ensure_ascii=False) for v in value]
    return "[\n" + ",\n".join(f"{indent} {line}" for line in lines) + f"\n{indent}]"


def _yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError) as error:
        raise BrokenFile(f"{path}: {str(error).splitlines()[0]}; restore the file") from None


# --- common.json


def _common(stream: Stream) -> dict[str, Any]:
    from worlddb.semantics.build_json import documents

    sources = folder("seeds") / "pools" / "sources"
    words = {name: _items(text) for name, text in _yaml(sources / "words.yaml").items()}
    phrases = _yaml(sources / "phrases.yaml")
    slots = phrases.pop("slots")
    for name, rows in phrases.items():
        words[name] = _expanded(rows, slots, stream.child("phrases", name))
    words |= _counted()
    words["user_agent"] = _user_agents(stream)
    words |= documents(stream.child("json"), words)
    return {"words": words, "quantiles": tables()}


def _items(text: str | list[str]) -> list[str]:
    items = text if isinstance(text, list) else text.split(",")
    return [str(item).strip().strip("'\"") for item in items]


def _counted() -> dict[str, list[str]]:
    terms = [f"{term} {year}" for year in (2023, 2024, 2025, 2026) for term in ("Spring", "Summer", "Fall")]
    return {
        "two_digits": [f"{i:02d}" for i in range(1, 100)],
        "course_level": [
            str(100 * a + b)
            for a in (1, 2, 3, 4)
            for b in (1, 2, 3, 5, 10, 11, 12, 15, 20, 21, 30, 31, 40, 50, 60, 75, 80, 90, 95)
        ],
        "cost_center": [f"CC-{1000 + 100 * i}" for i in range(1, 31)],
        "procedure_code": [f"PR-{1000 + 37 * i}" for i in range(1, 61)],
        "fiscal_period": [f"FY{year}-Q{q}" for year in (23, 24, 25, 26) for q in (1, 2, 3, 4)],
        "academic_term": terms,
        "company_branch": [
            "Logistics",
            "Services",
            "Trading",
            "Holding",
            "Systems",
            "Solutions",
            "Industries",
            "Partners",
            "Foods",
            "Media",
            "Energy",
            "Labs",
        ],
        "company_branch_ascii": [
            "logistics",
            "services",
            "trading",
            "holding",
            "systems",
            "solutions",
            "industries",
            "partners",
            "foods",
            "media",
            "energy",
            "labs",
        ],
    }


def _expanded(rows: list[str], slots: dict[str, str], stream: Stream) -> list[str]:
    """Sentences with {slot}s become several, each slot filled by its own words."""
    found: dict[str, None] = {}
    for row in rows:
        names = re.findall(r"\{(\w+)\}", row)
        for _ in range(VARIANTS if names else 1):
            found[re.sub(r"\{(\w+)\}", lambda m: stream.pick(_items(slots[m[1]])), row)] = None
    return list(found)


def _user_agents(stream: Stream) -> list[str]:
    """Texts in the form that today's browsers send."""
    systems = (
        "Windows NT 10.0; Win64; x64",
        "Macintosh; Intel Mac OS X 10_15_7",
        "X11; Linux x86_64",
        "Linux; Android 14; Pixel 8",
    )
    found = []
    for version in range(118, 133):
        system = stream.pick(systems)
        chrome = f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
        found += [chrome, f"{chrome} Edg/{version}.0.{stream.between(1200, 2900)}.{stream.between(20, 99)}"]
        found.append(f"Mozilla/5.0 ({stream.pick(systems[:3])}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0")
        phone = stream.pick(("iPhone; CPU iPhone OS", "iPad; CPU OS"))
        major, minor = stream.between(16, 18), stream.between(0, 6)
        form = (
            f"({phone} {major}_{minor} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{major}.{minor}"
        )
        found.append(f"Mozilla/5.0 {form} Mobile/15E148 Safari/604.1")
    return sorted(set(found))


def tables() -> dict[str, list[int]]:
    """Quantile tables: normal, lognormal_SIGMA (median 1), exponential (mean 1), zipf (rank share), clock_PROFILE."""
    points = [(i + 0.5) / POINTS for i in range(POINTS)]
    normal = [NormalDist().inv_cdf(p) for p in points]
    found = {"normal": [round(z * ONE) for z in normal]}
    for sigma in ("0.3", "0.6", "1.0", "1.3", "1.6", "2.0"):
        found[f"lognormal_{sigma}"] = [round(math.exp(float(sigma) * z) * ONE) for z in normal]
    found["exponential"] = [round(-math.log(1 - p) * ONE) for p in points]
    found["zipf"] = _piecewise([1000000 // (i + 1) for i in range(1024)], ONE)
    for name, hours in CLOCKS.items():
        found[f"clock_{name}"] = _piecewise(hours, 86400)
    return found


def _piecewise(weights: Sequence[int], span: int) -> list[int]:
    """Quantiles of a histogram of equal bins over [0, span)."""
    total, out, bin_, before = sum(weights), [], 0, 0
    for i in range(POINTS):
        place = (2 * i + 1) * total
        while (before + weights[bin_]) * 2 * POINTS <= place:
            before += weights[bin_]
            bin_ += 1
        inside = place - before * 2 * POINTS
        out.append(span * bin_ // len(weights) + inside * span // (len(weights) * weights[bin_] * 2 * POINTS))
    return out


# --- LOCALE.json


def _faker(locale: str, seed: int) -> Any:
    from faker import Faker
    from faker.config import AVAILABLE_LOCALES

    if locale not in AVAILABLE_LOCALES:
        raise UnknownName("locale", locale, AVAILABLE_LOCALES)
    fake = Faker(locale, use_weighting=False)
    fake.seed_instance(seed)
    return fake


def _unique(make: Callable[[], str], most: int) -> list[str]:
    """Up to `most` different texts, sorted; fewer, where they begin to repeat."""
    found: set[str] = set()
    for _ in range(3 * most):
        text = " ".join(str(make()).split())
        if text and "@" not in text:
            found.add(text)
        if len(found) == most:
            break
    return sorted(found)


def _locale(locale: str, seed: int) -> dict[str, Any]:
    fake = _faker(locale, Stream(seed, "faker", locale).below(1 << 30))
    path = folder("seeds") / "places" / f"{locale}.yaml"
    facts, cities = _written(path) if path.exists() else _guessed(fake, locale)
    words = {
        "first_female": _people(fake.first_name_female, SIZES["first_female"]),
        "first_male": _people(fake.first_name_male, SIZES["first_male"]),
        "last": _people(fake.last_name, SIZES["last"]),
        "street": [s for s in _unique(fake.street_name, SIZES["street"]) if not re.search(r"[\d{},]", s)]
        or ["Main Street"],
        "company": _companies(fake, locale),
        "job": _jobs(fake),
    }
    spare = {"first_female": "anna", "first_male": "max", "last": "berg", "company": "firm"}
    for name, instead in spare.items():
        words[f"{name}_ascii"] = _handles(
            [_bare(w) for w in words[name]] if name == "company" else words[name], instead
        )
    return {"facts": facts, "cities": cities, "words": words}


def _people(make: Callable[[], str], most: int) -> list[str]:
    return [name for name in _unique(make, most) if not re.search(r"[\d<>{}]", name)]


def _companies(fake: Any, locale: str) -> list[str]:
    """Invented names; some locales of Faker mix in real ones, which stay out."""
    from importlib import import_module
    from importlib.util import find_spec

    module = f"faker.providers.company.{locale}"
    provider = import_module(module).Provider if find_spec(module) else object
    real = getattr(provider, "large_companies", ())
    return [name for name in _unique(fake.company, SIZES["company"] + len(real)) if not name.startswith(tuple(real))]


def _jobs(fake: Any) -> list[str]:
    """'Engineer, electronics' → 'Electronics engineer'."""
    found = set()
    for job in _unique(fake.job, SIZES["job"]):
        head, _, kind = re.sub(r"\s*\([^)]*\)", "", job).partition(", ")
        text = f"{kind} {head}" if kind and "," not in kind and "/" not in kind else head
        found.add(text[:1].upper() + text[1:].lower() if kind else text)
    return sorted(t for t in found if 2 < len(t) <= 60)


def _handles(names: list[str], instead: str) -> list[str]:
    """The names in ASCII; scripts that have no Latin form here get a made-up one."""
    return [_shortened(name) or f"{instead}{i}" for i, name in enumerate(names)]


_LEGAL = re.compile(
    r"\b("
    r"gmbh|mbh|ag|kg|kgaa|ohg|gbr|e\.v\.|e\.g\.|stiftung|inc|llc|ltd|plc|group|and sons|& co|"
    r"s\.?a\.?r\.?l|s\.?[ac]\.?s?|s\.?p\.?a|s\.?r\.?l|s\.?n\.?c|et fils|e figli|s\.coop|s\.?[al]\.?[lnudt]?|"
    r"s\.c\.p|s\.com|s/a|y asociados|"
    r"b\.?v|n\.?v|v\.?o\.?f|ltda|me|ei|sp\. z o\.o|sp\.[jkp]|s\.k\.a|i syn|ab|hb|kb"
    r")(?=[\s.,]|$)\.?",
    re.IGNORECASE,
)


def _bare(company: str) -> str:
    """A company's name without its legal form, as it stands in its domain; whole, where nothing else is in it."""
    bare = _LEGAL.sub("", company)
    return bare if len(ascii_of(bare)) > 2 else company


def _shortened(name: str) -> str:
    handle = ascii_of(name)
    return handle[:24] if handle[:1].isalpha() else ""


def _written(path: Path) -> tuple[dict[str, str], list[list[Any]]]:
    """A file of seeds/places/: the facts, and the cities as rows of `pools.Place`."""
    source = _yaml(path)
    facts = {key: str(value) for key, value in source["facts"].items()}
    cities = []
    for row in source["cities"]:
        name, region, code, postcode, area, latitude, longitude, *zone = (part.strip() for part in row.split("|"))
        at = [round(float(x) * 100000) for x in (latitude, longitude)]
        cities.append([name, region, code, postcode, area, *at, zone[0] if zone else facts["timezone"]])
    return facts, cities


def _guessed(fake: Any, locale: str) -> tuple[dict[str, str], list[list[Any]]]:
    """Facts and a dozen cities for a locale without a file, as coherent as Faker's parts allow."""
    language, _, country = locale.partition("_")
    common = _yaml(folder("seeds") / "pools" / "sources" / "countries.yaml")
    name, currency, zone, latitude, longitude = common.get(country, ["International", "EUR", "UTC", 0, 0])
    facts = {
        "country_name": name,
        "country_code": country if len(country) == 2 else "XX",
        "currency": currency,
        "language": language,
        "language_code": language,
    }
    facts |= {
        "locale_code": locale,
        "tld": country.lower() if len(country) == 2 else "com",
        "timezone": zone,
        "number": "%#",
    }
    facts |= {
        "phone": "{area} ### ####",
        "mobile": "07## ### ####",
        "address": "{street} {number}",
        "full_address": "{address}, {postal} {city}",
    }
    facts |= {"plate": "???-####", "national_id": "%#########", "tax_id": "%########", "iban": "DE||##################"}
    facts |= {"honorific_female": _prefix(fake, "female", "Ms."), "honorific_male": _prefix(fake, "male", "Mr.")}
    return facts, _cities(fake, (zone, int(latitude * 100000), int(longitude * 100000)))


def _prefix(fake: Any, gender: str, instead: str) -> str:
    text = str(getattr(fake, f"prefix_{gender}")()).strip()
    return text if 0 < len(text) <= 12 and not re.search(r"[\d@]", text) else instead


def _cities(fake: Any, centre: tuple[str, int, int]) -> list[list[Any]]:
    """Twelve cities around the country's centre, each with a region, a range of postcodes and an area code."""
    zone, latitude, longitude = centre
    stream = Stream(0, "cities", zone)
    regions = _regions(fake)
    rows = []
    for i, city in enumerate([c for c in _unique(fake.city, 40) if not re.search(r"[\d@<>{}]", c) and len(c) > 1][:12]):
        region = regions[i % len(regions)]
        code = (ascii_of(region)[:2].upper() or LETTERS[i % 24] * 2) + str(i % len(regions))
        at = [latitude + stream.between(-90000, 90000), longitude + stream.between(-90000, 90000)]
        rows.append([city, region, code, f"{10 + 7 * i}###", f"0{20 + 3 * i}", *at, zone])
    return rows


def _regions(fake: Any) -> list[str]:
    for name in ("administrative_unit", "state", "province", "prefecture", "region", "county"):
        make = getattr(fake, name, None)
        if make is not None:
            found = [r for r in _unique(make, 6) if not re.search(r"[\d@<>{}]", r) and len(r) > 1]
            if found:
                return found
    return ["Central"]
