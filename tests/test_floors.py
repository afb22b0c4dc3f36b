"""The floors: a room imports only from itself and from lower ones, imports inside functions included."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "worlddb"
FLOORS = {
    "backends": 0, "errors": 0, "files": 0, "parallel": 0, "rng": 0, "library": 0, "version": 0,
    "semantics": 1, "schema": 2, "world": 3,
    "tools": 4, "tasks": 5, "heldout": 5, "policies": 5, "users": 5, "episode": 6,
    "gate": 7, "rubrics": 7, "report": 7, "attempts": 7, "runs": 7,
    "suites": 7, "codecs": 7, "shards": 7, "store": 7, "request": 7, "spawner": 7, "dictionaries": 7, "catalog": 7,
    "describe": 7, "describe_tasks": 7, "check": 7, "check_tasks": 7, "disjoint": 7, "stats": 7,
    "export": 8, "agents": 8, "adapters": 8, "cli": 9,
}  # fmt: skip
DOORS = {
    "world.model": {
        "tools.build", "tools.perturb", "tools.plugin", "tools.session", "tools.styles", "tools.toolset",
        "tasks.model", "gate", "gate.tasks_of",
    },
}  # fmt: skip
"""The one exception: the noun World opens doors, methods that import what stands above when they are called."""
FACES = {"__init__"}
"""worlddb/__init__.py hands names on from every floor and is imported by none."""
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem not in FACES)


def room(module: str) -> str:
    return module.split(".")[0]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
    return {i.removeprefix("worlddb.") for i in found if i.startswith("worlddb.")}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_only_from_lower_floors(path: Path) -> None:
    here = name_of(path)
    floor = FLOORS[room(here)]
    doors = DOORS.get(here, set())
    high = {
        i
        for i in imports(path)
        if room(i) in FLOORS and FLOORS[room(i)] > floor and ".".join(i.split(".")[:2]) not in doors
    }
    assert not high, f"{here} (floor {floor}) imports from above: {sorted(high)}"


def test_every_room_has_a_floor() -> None:
    assert {room(name_of(p)) for p in MODULES} <= set(FLOORS)


def test_there_is_no_import_cycle() -> None:
    graph = {name_of(p): set() for p in MODULES}
    for path in MODULES:
        tree = ast.parse(path.read_text())
        tops = [n for n in tree.body if isinstance(n, ast.ImportFrom) and (n.module or "").startswith("worlddb.")]
        for node in tops:
            base = (node.module or "").removeprefix("worlddb.")
            named = {f"{base}.{a.name}" for a in node.names}
            # `from package import module` speaks of the module alone
            graph[name_of(path)] |= named if named <= set(graph) else {m for m in (base, *named) if m in graph}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"import cycle: {' -> '.join((*way[way.index(module) :], module))}"
        if module not in done:
            for after in graph[module] - {module}:
                visit(after, (*way, module))
            done.add(module)

    for module in graph:
        visit(module, ())
