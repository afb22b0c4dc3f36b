"""The JSON documents of common.json: settings, attributes, metadata and lists of tags, from short word lists."""

from __future__ import annotations

import json
from typing import Any

from worlddb.rng import Stream

COUNT = 300

_SETTINGS: dict[str, list[Any]] = {
    "theme": ["light", "dark", "system"],
    "page_size": [10, 20, 25, 50, 100],
    "notifications": [True, False],
    "digest": ["daily", "weekly", "never"],
    "language": ["en", "de", "fr", "es"],
    "first_weekday": ["monday", "sunday"],
    "auto_save": [True, False],
    "two_factor": [True, False],
    "date_format": ["ymd", "dmy", "mdy"],
    "session_minutes": [15, 30, 60, 240],
}
_ATTRIBUTES: dict[str, list[Any]] = {
    "color": ["black", "white", "grey", "blue", "red", "green"],
    "material": ["cotton", "steel", "oak", "plastic", "glass", "wool"],
    "size": ["XS", "S", "M", "L", "XL"],
    "weight_g": [80, 120, 250, 400, 750, 1200, 2600],
    "origin": ["DE", "IT", "PL", "PT", "CN", "VN", "US"],
    "warranty_months": [6, 12, 24, 36],
    "fragile": [True, False],
    "indoor": [True, False],
    "power_w": [5, 12, 40, 60, 800, 1500],
    "pack_of": [1, 2, 4, 6, 10],
}
_METADATA: dict[str, list[Any]] = {
    "source": ["import", "web", "api", "manual", "migration"],
    "batch": [101, 102, 117, 140, 203, 255],
    "client_version": ["2.4.1", "2.5.0", "3.0.2", "3.1.0"],
    "retries": [0, 0, 0, 1, 2, 3],
    "reviewed": [True, False],
    "region": ["north", "south", "east", "west"],
    "checksum_ok": [True, True, True, False],
    "template": ["default", "short", "detailed"],
}


def documents(stream: Stream, words: dict[str, list[str]]) -> dict[str, list[str]]:
    """Pools of JSON texts: json_settings, json_attributes and json_metadata (objects), json_tags (lists)."""
    found = {
        "json_settings": _objects(stream.child("settings"), _SETTINGS),
        "json_attributes": _objects(stream.child("attributes"), _ATTRIBUTES),
        "json_metadata": _objects(stream.child("metadata"), _METADATA),
    }
    tags = stream.child("tags")
    found["json_tags"] = _many(lambda: json.dumps(tags.sample(words["tag"], tags.between(1, 4))))
    return found


def _objects(stream: Stream, fields: dict[str, list[Any]]) -> list[str]:
    def one() -> str:
        names = stream.sample(list(fields), stream.between(2, 4))
        return json.dumps({name: stream.pick(fields[name]) for name in sorted(names, key=list(fields).index)})

    return _many(one)


def _many(make: Any) -> list[str]:
    return list(dict.fromkeys(make() for _ in range(COUNT)))
