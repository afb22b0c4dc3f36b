"""Coherence groups: people, places and companies, whose members agree with each other row by row.

A group draws its base (who, where, which company) once and derives each member from it when that is asked for.
Keys are names of semantic types.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from worlddb.rng import Stream
from worlddb.semantics.ask import Ask
from worlddb.semantics.codes import Patterns, as_texts, digits, same
from worlddb.semantics.pools import Pools, texts
from worlddb.semantics.texts import template

Texts = NDArray[Any]


class Group:
    """n rows of a group.  `group[key]` is one member, an array of n; each member is drawn from a stream of its own."""

    members: ClassVar[dict[str, Callable[[Any], Texts]]] = {}

    def __init__(self, stream: Stream, n: int, pools: Pools, locale: str) -> None:
        """Open the group on a child of the stream, which does not move."""
        self.stream, self.n, self.pools, self.locale = stream.child(type(self).__name__), n, pools, locale
        self._found: dict[str, Texts] = {}

    def __getitem__(self, key: str) -> Texts:
        """One member, an array of n."""
        if key not in self._found:
            self._found[key] = self.members[key](self)
        return self._found[key]

    def lane(self, name: str) -> Stream:
        """The stream of one member, whichever others are asked for."""
        return self.stream.child(name)

    def words(self, name: str) -> Texts:
        """A pool of the group's locale."""
        return self.pools.words(name, self.locale)

    def take(self, keys: Collection[str] | None) -> dict[str, Texts]:
        """The members of these names; all, where none are named."""
        return {key: self[key] for key in (self.members if keys is None else keys)}


def numbered(items: Texts, join: Callable[[str, int], str]) -> Texts:
    """The same texts with every repetition made different: `join(text, 2)`, `join(text, 3)` …"""
    rows = items.tolist()
    if len(set(rows)) == len(rows):
        return items
    used = set(rows)
    seen: set[str] = set()
    count: dict[str, int] = {}
    for i, text in enumerate(rows):
        if text in seen:
            rows[i] = _next(text, used, count, join)
        seen.add(rows[i])
    return texts(rows)


def _next(text: str, used: set[str], count: dict[str, int], join: Callable[[str, int], str]) -> str:
    number = count.get(text, 1) + 1
    while (other := join(text, number)) in used:
        number += 1
    count[text] = number
    used.add(other)
    return other


def plain(text: str, number: int) -> str:
    """'anna', 2 → 'anna2'."""
    return f"{text}{number}"


def before_at(text: str, number: int) -> str:
    """'anna@x.org', 2 → 'anna2@x.org'."""
    name, _, host = text.partition("@")
    return f"{name}{number}@{host}"


def before_dot(text: str, number: int) -> str:
    """'acme.com', 2 → 'acme2.com'."""
    name, _, rest = text.partition(".")
    return f"{name}{number}.{rest}"


# --- people


class People(Group):
    """Names, and what derives from them."""

    def __init__(self, stream: Stream, n: int, pools: Pools, locale: str) -> None:
        """Draw who the n people are."""
        super().__init__(stream, n, pools, locale)
        base = self.lane("base")
        self.female = base.chances(n, 0.5)
        female, male, last = (self.words(p) for p in ("first_female", "first_male", "last"))
        self.males = len(female)
        unit = base.bits(n)
        size = np.where(self.female, len(female), len(male))
        self.first = ((unit >> np.uint64(32)) * size.astype(np.uint64) >> np.uint64(32)).astype(np.int64)
        self.last = base.integers(n, len(last))

    def names(self, form: str = "") -> tuple[Texts, Texts]:
        """First and last names; in form '_ascii' as they stand in addresses, in form '_initial' their first letters."""
        both = self.pools.memo.get(("people", form, self.locale)) or self._pools(form)
        return both[0][np.where(self.female, self.first, self.males + self.first)], both[1][self.last]

    def _pools(self, form: str) -> tuple[Texts, Texts]:
        """All first names, women's before men's, and all last names."""
        suffix = "_ascii" if form else ""
        first = np.concatenate([self.words("first_female" + suffix), self.words("first_male" + suffix)])
        both = (first, self.words("last" + suffix))
        if form == "_initial":
            both = (texts(w[0] for w in both[0]), texts(w[0] for w in both[1]))
        self.pools.memo["people", form, self.locale] = both
        return both

    def full_name(self) -> Texts:
        """'First Last'."""
        return self["first_name"] + " " + self["last_name"]

    def gender(self) -> Texts:
        """By the name, in 97 % of the rows."""
        other = self.lane("gender").integers(self.n, 100)
        return _GENDERS[np.where(other < 3, 2 + (other == 2), self.female.astype(np.int64))]

    def honorific(self) -> Texts:
        """The locale's form of address."""
        facts = self.pools.facts(self.locale)
        return texts([facts["honorific_male"], facts["honorific_female"]])[self.female.astype(np.int64)]

    def username(self) -> Texts:
        """From the name, in the one style of this stream; distinct."""
        first, last = self.names("_ascii")
        style = self.lane("username").below(3)
        if style == 0:
            made = first + "." + last
        elif style == 1:
            made = self.names("_initial")[0] + last
        else:
            made = first + "_" + self.names("_initial")[1]
        return numbered(made, plain)

    def email(self) -> Texts:
        """name @ a mail provider; distinct."""
        first, last = self.names("_ascii")
        lane = self.lane("email")
        middle = lane.picks(self.n, _SEPARATORS)
        tail = lane.picks(self.n, _TAILS)
        at = lane.picks(self.n, self.at_domains())
        return numbered(first + middle + last + tail + at, before_at)

    def at_domains(self) -> Texts:
        """The mail providers, each after an @."""
        if "at" not in self.pools.memo:
            self.pools.memo["at"] = "@" + self.pools.words("mail_domain")
        found: Texts = self.pools.memo["at"]
        return found

    def company_email(self) -> Texts:
        """first.last @ the one company of this stream; distinct."""
        first, last = self.names("_ascii")
        lane = self.lane("company_email")
        handles: Sequence[str] = self.words("company_ascii").tolist()
        host = f"{lane.pick(handles)}.{self.pools.facts(self.locale)['tld']}"
        return numbered(first + "." + last + ("@" + host), before_at)

    members: ClassVar[dict[str, Callable[[Any], Texts]]] = {
        "first_name": lambda g: g.names()[0],
        "last_name": lambda g: g.names()[1],
        "full_name": full_name,
        "gender": gender,
        "honorific": honorific,
        "username": username,
        "email": email,
        "company_email": company_email,
    }


_SEPARATORS = texts([".", ".", ".", "_", ""])
_TAILS = texts([*[""] * 9, "1", "7", "11", "22", "77", "88", "99"])


_GENDERS = texts(["male", "female", "nonbinary", "undisclosed"])


# --- places


class Places(Group):
    """Cities of the locale, and addresses in them."""

    def __init__(self, stream: Stream, n: int, pools: Pools, locale: str) -> None:
        """Draw in which cities the n places are."""
        super().__init__(stream, n, pools, locale)
        self.facts = pools.facts(locale)
        self.city = self.lane("city").integers(n, len(pools.cities(locale)))

    def column(self, name: str) -> Texts:
        """One field of the rows' cities."""
        key = ("city", name, self.locale)
        if key not in self.pools.memo:
            values = [getattr(c, name) for c in self.pools.cities(self.locale)]
            number = name in ("latitude", "longitude")
            self.pools.memo[key] = np.array(values, dtype=np.int64) if number else texts(values)
        found: Texts = self.pools.memo[key][self.city]
        return found

    def by_city(self, name: str, make: Callable[[Any], str]) -> Texts:
        """A pattern of the row's city, filled."""
        key = ("by_city", name, self.locale)
        if key not in self.pools.memo:
            self.pools.memo[key] = Patterns([make(c) for c in self.pools.cities(self.locale)])
        compiled: Patterns = self.pools.memo[key]
        return compiled.draw(self.lane(name), self.city)

    def postal_code(self) -> Texts:
        """Of the city's range."""
        return self.by_city("postal_code", lambda c: c.postcode)

    def phone_number(self) -> Texts:
        """With the city's area code."""
        form = self.facts["phone"]
        return self.by_city("phone_number", lambda c: form.replace("{area}", c.area))

    def street_address(self) -> Texts:
        """Street and number, in the order of the country."""
        lane = self.lane("street_address")
        street = lane.picks(self.n, self.words("street"))
        wide = len(self.facts["number"]) > 2
        number = digits(1 + lane.integers(self.n, 99) * lane.integers(self.n, 100) // (1 if wide else 80))
        return joined(self.facts["address"], self.n, {"street": street, "number": number})

    def full_address(self) -> Texts:
        """Everything on one line."""
        parts = {
            "address": "street_address",
            "city": "city",
            "code": "state_abbr",
            "region": "state_region",
            "postal": "postal_code",
        }
        names = template(self.facts["full_address"])[1::2]
        return joined(self.facts["full_address"], self.n, {name: self[parts[name]] for name in names})

    def address_json(self) -> Texts:
        """The address as a JSON object."""
        form = '{"street": "{street}", "city": "{city}", "postal_code": "{postal}", "country": "{country}"}'
        parts = {"street": "street_address", "city": "city", "postal": "postal_code", "country": "country_code"}
        return joined(form, self.n, {name: self[key] for name, key in parts.items()})

    def degrees(self, name: str) -> Texts:
        """Near the city's centre, to five digits."""
        near = self.lane(name).integers(self.n, 8001) - 4000
        return (self.column(name) + near) / 100000.0

    def same_text(self, name: str) -> Texts:
        """A fact of the locale, n times."""
        return np.full(self.n, self.facts[name], dtype=object)

    members: ClassVar[dict[str, Callable[[Any], Texts]]] = {
        "street_address": street_address,
        "city": lambda g: g.column("name"),
        "state_region": lambda g: g.column("region"),
        "state_abbr": lambda g: g.column("code"),
        "postal_code": postal_code,
        "country_name": lambda g: g.same_text("country_name"),
        "country_code": lambda g: g.same_text("country_code"),
        "phone_number": phone_number,
        "latitude": lambda g: g.degrees("latitude"),
        "longitude": lambda g: g.degrees("longitude"),
        "timezone": lambda g: g.column("timezone"),
        "currency_code": lambda g: g.same_text("currency"),
        "full_address": full_address,
        "address_json": address_json,
    }


def joined(form: str, n: int, columns: dict[str, Texts]) -> Texts:
    """A template of the columns' names, filled row by row."""
    parts = template(form)
    out: Any = parts[0]
    for name, literal in zip(parts[1::2], parts[2::2], strict=True):
        out = out + columns[name] if isinstance(out, np.ndarray) or out else columns[name]
        if literal:
            out = out + literal
    return out if isinstance(out, np.ndarray) else np.full(n, out, dtype=object)


# --- companies


class Companies(Group):
    """Companies with their domains, addresses on the net, numbers, and a seat."""

    def __init__(self, stream: Stream, n: int, pools: Pools, locale: str) -> None:
        """Draw which companies the n are."""
        super().__init__(stream, n, pools, locale)
        self.facts = pools.facts(locale)
        names, order = self.words("company"), self.lane("base")
        self.index = order.order(len(names))[:n] if n <= len(names) else order.integers(n, len(names))
        self.branch = order.integers(n, len(pools.words("company_branch")))

    def company_name(self) -> Texts:
        """Distinct: beyond the pool's size a line of business follows the name, and then a number."""
        names = self.words("company")[self.index]
        if self.n > len(self.words("company")):
            names = names + " " + self.pools.words("company_branch")[self.branch]
        return numbered(names, lambda text, number: f"{text} {number}")

    def handle(self) -> Texts:
        """The name as it stands in domains; distinct."""
        handles = self.words("company_ascii")[self.index]
        if self.n > len(self.words("company")):
            handles = handles + "-" + self.pools.words("company_branch_ascii")[self.branch]
        return numbered(handles, plain)

    def with_fact(self, name: str) -> Texts:
        """A pattern of the locale, filled."""
        return as_texts(same(self.lane(name), self.n, self.facts[name]))

    def company_email(self) -> Texts:
        """A shared mailbox at the company's domain."""
        return self.lane("company_email").picks(self.n, _MAILBOXES) + self["domain_name"]

    @cached_property
    def places(self) -> Places:
        """Where the companies sit."""
        return Places(self.stream, self.n, self.pools, self.locale)

    members: ClassVar[dict[str, Callable[[Any], Texts]]] = {}


_MAILBOXES = texts(["info@", "info@", "contact@", "office@", "hello@", "sales@"])


def _of_place(key: str) -> Callable[[Any], Texts]:
    def member(group: Companies) -> Texts:
        return group.places[key]

    return member


Companies.members = {
    "company_name": Companies.company_name,
    "domain_name": lambda g: g.handle() + ("." + g.facts["tld"]),
    "url": lambda g: "https://www." + g["domain_name"],
    "company_email": Companies.company_email,
    "email": lambda g: g["company_email"],
    "tax_id": lambda g: g.with_fact("tax_id"),
    **{key: _of_place(key) for key in Places.members},
}


def people(stream: Stream, n: int, pools: Pools, locale: str, keys: Collection[str] | None = None) -> dict[str, Texts]:
    """n people: first_name, last_name, full_name, gender, honorific, username, email and company_email.

    User names and addresses derive from the names, are ASCII, and differ from row to row.  With `keys` only those
    members are made, with the same values as without.

    Raises:
        UnknownName: no such locale.
    """
    return People(stream, n, pools, locale).take(keys)


def places(stream: Stream, n: int, pools: Pools, locale: str, keys: Collection[str] | None = None) -> dict[str, Texts]:
    """n addresses: street_address, city, state_region, state_abbr, postal_code, country_name, country_code,
    phone_number, latitude, longitude (float64 degrees), timezone, currency_code, full_address and address_json.

    Raises:
        UnknownName: no such locale.
    """
    return Places(stream, n, pools, locale).take(keys)


def companies(
    stream: Stream, n: int, pools: Pools, locale: str, keys: Collection[str] | None = None
) -> dict[str, Texts]:
    """n companies: company_name, domain_name, url, company_email, email, tax_id, and all that `places` has.

    Names and domains differ from row to row.

    Raises:
        UnknownName: no such locale.
    """
    return Companies(stream, n, pools, locale).take(keys)


def reviews(stream: Stream, n: int, pools: Pools) -> dict[str, NDArray[Any]]:
    """n reviews: star_rating (int64, 1 to 5) and a review_text that agrees with it."""
    from worlddb.semantics.texts import review_texts, stars

    rating = stars(stream.child("stars"), n)
    return {"star_rating": rating, "review_text": review_texts(stream.child("texts"), rating, pools)}


_KINDS: dict[str, type[Group]] = {"person": People, "place": Places, "company": Companies}


def member(kind: str) -> Callable[[Ask], Texts]:
    """The maker of person:TYPE, place:TYPE or company:TYPE."""

    def make(ask: Ask) -> Texts:
        return _KINDS[kind](ask.stream, ask.n, ask.pools, ask.locale)[ask.args[0]]

    return make
