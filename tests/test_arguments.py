"""Arguments of tools: the checks of our own against the jsonschema library, converts, and the words of refusals."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from worlddb.tools.arguments import MOMENT, Reader, Refused, compile_check, decode_cursor, encode_cursor
from worlddb.tools.model import Param

SCHEMAS: tuple[dict[str, Any], ...] = (
    {"type": "integer"},
    {"type": "integer", "minimum": 1},
    {"type": "integer", "minimum": 0, "maximum": 9},
    {"type": ["integer", "null"], "maximum": 3},
    {"type": "number", "minimum": 0},
    {"type": ["number", "null"]},
    {"type": "boolean"},
    {"type": ["boolean", "null"]},
    {"type": "string"},
    {"type": "string", "minLength": 1, "maxLength": 5},
    {"type": "string", "enum": ["a", "b", "open"]},
    {"type": ["string", "null"], "enum": ["a", None]},
    {"type": "string", "pattern": "^CUS-[0-9]+$"},
    {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
    {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    {"type": "array", "items": {"type": ["string", "number", "boolean", "null"]}},
    {"type": "object"},
    {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"id": {"type": "integer"}, "note": {"type": ["string", "null"]}},
            "required": ["id"],
            "additionalProperties": False,
        },
        "maxItems": 4,
    },
)

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-4, 12),
    st.floats(-3, 12),
    st.sampled_from(["a", "b", "open", "CUS-12", "cus-12"]),
    words,
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.sampled_from(["id", "note", "other"]), inner, max_size=3),
    ),
    max_leaves=8,
)


@settings(max_examples=1500, deadline=None)
@given(schema=st.sampled_from(SCHEMAS), value=values)
@example(schema={"type": "integer"}, value=3.0)
@example(schema={"type": "integer"}, value=True)
@example(schema={"type": "array", "items": {"type": "string"}, "uniqueItems": True}, value=["a", "a"])
@example(schema=SCHEMAS[-1], value=[{"id": 1, "note": None}])
@example(schema=SCHEMAS[-1], value=[{"note": "x"}])
def test_what_is_taken_is_what_json_schema_takes(schema, value):
    ours = compile_check(schema)(value)
    assert (ours is None) == jsonschema.Draft202012Validator(schema).is_valid(value), ours


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        ({"type": "integer"}, "5", 'expected an integer, got "5"'),
        ({"type": "integer", "minimum": 1, "maximum": 5}, 9, "must be at most 5, got 9"),
        ({"type": "integer"}, 2**63, "is too large: 9223372036854775808"),
        ({"type": "string", "enum": ["a", "b"]}, "c", 'expected one of "a", "b", got "c"'),
        ({"type": "string"}, "a\0b", "holds characters that are no text"),
        ({"type": "string"}, "\ud800", "holds characters that are no text"),
        ({"type": "string", "format": "date"}, "2024-02-30", 'expected a date such as 2024-03-01, got "2024-02-30"'),
        ({"type": "string", "pattern": MOMENT}, "2024-02-30 10:00", "expected a date such as 2024-03-01 14:30:00"),
        ({"type": "string", "format": "uuid"}, "12", 'expected a uuid, got "12"'),
        ({"type": "number"}, float("nan"), "expected a number, got null"),
        ({"type": "number"}, float("inf"), "expected a number, got null"),
        ({"type": "boolean"}, 1, "expected true or false, got 1"),
        ({"type": "object"}, {1: 2}, ".1 is unknown"),
    ],
)
def test_words_of_refusals(schema, value, words):
    told = compile_check(schema)(value)
    assert told is not None
    assert told.startswith(words)


def reader(least: int = 0) -> Reader:
    item = {
        "type": "object",
        "properties": {"sku": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["sku"],
    }
    return Reader(
        (
            Param(key="id", name="bookingId", schema={"type": "integer"}, required=True),
            Param(key="at", name="from", schema={"type": ["string", "null"], "pattern": MOMENT}, convert="datetime"),
            Param(key="flag", name="vip", schema={"type": "boolean"}, convert="flag"),
            Param(key="q", name="text", schema={"type": "string"}, convert="like"),
            Param(key="ids", name="ids", schema={"type": "array", "items": {"type": "integer"}}, convert="keys"),
            Param(key="note", name="note", schema={"type": ["string", "null"]}, convert="text", binds_null=True),
            Param(key="limit", name="page_size", schema={"type": "integer"}, default=20),
            Param(key="page", name="page", schema={"type": "integer"}, convert="page", default=1),
            Param(
                key="items", name="lines", schema={"type": "array", "items": item},
                fields=(
                    Param(key="sku", name="sku", schema={"type": "string"}, convert="text"),
                    Param(key="count", name="count", schema={"type": "integer"}, default=1),
                ),
            ),
        ),
        least,
    )  # fmt: skip


def test_values_are_bound_by_key_and_converted():
    found = reader().read(
        {
            "bookingId": 4.0,
            "from": "2024-05-01T10:00Z",
            "vip": True,
            "text": " 50%_",
            "ids": [3, 1, 3],
            "page": 3,
            "lines": [{"sku": " a "}],
        }
    )
    assert found == {
        "id": 4, "at": "2024-05-01 10:00:00", "flag": 1, "q": "%50\\%\\_%", "ids": "[3,1]", "note": None, "limit": 20,
        "page": 3, "offset": 40, "items": [{"item_sku": "a", "item_count": 1}],
    }  # fmt: skip
    assert isinstance(found["id"], int)


def test_json_text_is_read_and_null_is_bound():
    assert reader().read('{"bookingId": 1, "from": null}')["at"] is None
    assert "at" not in reader().read(b'{"bookingId": 1}')


@pytest.mark.parametrize(
    ("given", "message", "parameter"),
    [
        ({}, "bookingId is missing", "bookingId"),
        ({"bookingId": 1, "booking_id": 2}, "there is no parameter \"booking_id\"; did you mean bookingId?", "booking_id"),
        ({"bookingId": "1"}, 'bookingId: expected an integer, got "1"', "bookingId"),
        ({"bookingId": 1, "lines": [{}, {"count": "x"}]}, 'lines[0].sku is missing', "lines[0].sku"),
        ({"bookingId": 1, "lines": [{"count": "x"}]}, 'lines[0].count: expected an integer, got "x"', "lines[0].count"),
        ("[1]", "the arguments must be an object, got [1]", ""),
        ("{", "the arguments are no JSON", ""),
        (7, "the arguments must be an object, got 7", ""),
        ("{}" + " " * 300_000, "the arguments are longer than 256000 bytes", ""),
    ],
)  # fmt: skip
def test_refusals_name_the_argument(given, message, parameter):
    with pytest.raises(Refused) as refused:
        reader().read(given)
    assert refused.value.error.code == "INVALID_ARGUMENT"
    assert refused.value.error.message.startswith(message)
    assert refused.value.error.parameter == parameter


def test_an_update_needs_something_to_change():
    with pytest.raises(Refused, match="give at least one of from, vip"):
        reader(least=2).read({"bookingId": 1})


@given(st.integers(0, 10**8))
def test_cursors_lead_back(offset):
    assert decode_cursor(encode_cursor(offset)) == offset


@given(st.text(max_size=20))
def test_other_text_is_no_cursor(text):
    found = decode_cursor(text)
    assert found is None or encode_cursor(found) == text
