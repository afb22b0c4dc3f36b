"""The command line: every command, its help, its JSON, and one line for every mistake."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import worlddb
from worlddb.cli import cli
from worlddb.spawner import spawn
from worlddb.store import open_store, shard_path

N = 34
ROOT = Path(worlddb.__file__).parent.parent


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A store, not to be changed, as data/out of the folder in which the tests of this file run."""
    path = tmp_path_factory.mktemp("cli") / "data" / "out"
    spawn(path, N, seed=300, profile="tiny", tasks=0, workers=1)
    return path


@pytest.fixture(autouse=True)
def _inside(home, monkeypatch):
    monkeypatch.chdir(home.parent.parent)


def run(*arguments: object, code: int = 0) -> str:
    """The output of a command that ends with the given status."""
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    if code == 1 and result.stderr:
        assert result.stderr.startswith(("Error: ", "note: ")), result.stderr
        assert "Traceback" not in result.output
    return result.output


def every_command() -> list[list[str]]:
    found = []
    for name, command in cli.commands.items():
        inner = command.commands if isinstance(command, click.Group) else {}
        found += [[name, sub] for sub in inner] or [[name]]
    return found


@pytest.mark.parametrize("command", every_command(), ids=" ".join)
def test_every_command_has_help_with_an_example_and_described_options(command):
    text = run(*command, "-h")
    assert "worlddb" in text.partition("Example")[2] or command == ["pools", "show"]
    target: click.Command = cli
    for name in command:
        assert isinstance(target, click.Group)
        target = target.commands[name]
    for param in target.params:
        assert not isinstance(param, click.Option) or param.help, param.name


def test_help_and_version():
    assert run("--help") == run("-h")
    for command in ("spawn", "list", "show", "open", "stats", "check", "export", "query", "domains", "pools"):
        assert f"\n  {command} " in run("--help")
    assert run("--version").startswith("worlddb, version ")


def test_completion():
    done = subprocess.run(
        [sys.executable, "-c", "from worlddb.cli import main; main()"], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "_WORLDDB_COMPLETE": "bash_complete", "COMP_WORDS": "worlddb spawn --profile t",
             "COMP_CWORD": "3"},
    )  # fmt: skip
    assert "tiny" in done.stdout


def test_spawn_export_query_with_few_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "2 worlds in data/out" in run("spawn", "--n", 2, "--profile", "tiny", "--workers", 1)
    assert "exported to data/out/export" in run("export", "--workers", 1)
    assert "2" in run("query", "SELECT count(*) AS worlds FROM worlds").splitlines()[2]
    assert "2 of 2 worlds are sound" in run("check", "--workers", 1, "--regrow")
    assert "2 worlds in data/out" in run("spawn", "--resume")
    assert "holds this store already" in run("spawn", "--n", 2, "--profile", "tiny", code=1)


def test_list(home):
    lines = run("list").splitlines()
    assert len(lines) == N + 2
    worlds = json.loads(run("list", home, "--json"))
    assert [w["world"] for w in worlds] == list(open_store(home).ids())
    domain = worlds[0]["domain"]
    assert {w["domain"] for w in json.loads(run("list", "--domain", domain, "--json"))} == {domain}


def test_show(home):
    world = open_store(home)[2]
    by_id = run("show", world.id)
    assert by_id == run("show", "302") == run("show", "#2", "--store", home)
    for table in world.schema.tables:
        assert table.name in by_id
    assert run("show", "#2", "--mermaid").startswith("erDiagram")
    if world.schema.rules:
        assert world.schema.rules[0].say in run("show", "#2", "--rules")


def test_show_as_svg(tmp_path):
    run("show", "#2", "--svg", tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text().lstrip().startswith("<svg")
    assert "exists already" in run("show", "#2", "--svg", tmp_path / "a.svg", code=1)
    assert "cannot be written" in run("show", "#2", "--svg", tmp_path / "no" / "a.svg", code=1)


def test_show_grows_a_world_that_no_store_has():
    assert run("show", "5", "--profile", "tiny", "--rows", 0)


def test_open(home, tmp_path):
    file = tmp_path / "world.sqlite"
    world = open_store(home)[1]
    assert world.id in run("open", world.id, "--to", file)
    db = sqlite3.connect(file)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    db.close()
    assert file.read_bytes() == world.image
    assert "exists already" in run("open", world.id, "--to", file, code=1)


def test_stats(home, tmp_path):
    report = json.loads(run("stats", "--json", "--workers", 1))
    assert report["databases"] == N
    assert {"metric", "ours", "bar", "inside"} <= set(report["rows"][0])
    assert f"{N} databases" in run("stats", home, "--workers", 1)
    file = open_store(home)[0].save(tmp_path / "one.sqlite")
    assert json.loads(run("stats", file, "--json"))["databases"] == 1
    assert json.loads(run("stats", tmp_path, "--json"))["databases"] == 1
    (tmp_path / "empty").mkdir()
    assert "holds no store and no SQLite files" in run("stats", tmp_path / "empty", code=1)


def test_check(home, tmp_path):
    assert run("check", "--workers", 1) == f"{N} of {N} worlds are sound\n"
    report = json.loads(run("check", "--json", "--regrow", "--workers", 2))
    assert (report["sound"], report["faults"]) == (N, [])


def test_check_finds_what_is_wrong(home, tmp_path):
    copy = Path(shutil.copytree(home, tmp_path / "copy"))
    with sqlite3.connect(shard_path(copy, 0)) as db:
        db.execute("UPDATE worlds SET digest = 'feed' WHERE position = 4")
        db.execute("UPDATE worlds SET image = substr(image, 1, 500) WHERE position = 5")
        db.execute("UPDATE worlds SET recipe = replace(recipe, '\"seed\":306', '\"seed\":999') WHERE position = 6")
        db.execute("DELETE FROM worlds WHERE position = 7")
    db.close()
    shard_path(copy, 1).write_bytes(b"?" * 5000)
    report = json.loads(run("check", copy, "--json", "--workers", 1, code=1))
    ids = list(open_store(home).ids())
    wrong = {f["where"] for f in report["faults"]}
    assert wrong == {ids[4], ids[5], ids[6], "shard 00000", "shard 00001"}
    assert report["sound"] == 28
    assert ids[4] in run("check", copy, "--workers", 1, code=1)


def test_check_reads_the_catalogue_and_says_what_is_missing(home, tmp_path):
    copy = Path(shutil.copytree(home, tmp_path / "copy"))
    with sqlite3.connect(copy / "catalog.sqlite") as db:
        db.execute("UPDATE worlds SET digest = 'feed' WHERE position = 4")
    db.close()
    assert "differs from the shards" in run("check", copy, "--workers", 1, code=1)
    shard_path(copy, 0).unlink()
    (copy / "catalog.sqlite").unlink()
    said = run("check", copy, "--workers", 1, code=1)
    assert "unfinished, 2 of 34 worlds" in said
    assert "catalog.sqlite is missing" in said
    assert "note: " in CliRunner().invoke(cli, ["export", str(copy), "--workers", "1"]).stderr


def test_query_formats(home):
    run("export", "--workers", 1)
    sql = "SELECT world, rows, title FROM worlds ORDER BY position LIMIT 2"
    first = open_store(home)[0]
    assert json.loads(run("query", sql, "--json"))[0] == {
        "world": first.id, "rows": first.rows, "title": first.schema.title
    }  # fmt: skip
    assert list(csv.reader(io.StringIO(run("query", home, sql, "--csv"))))[1][0] == first.id
    assert first.id in run("query", sql)
    assert json.loads(
        run("query", "SELECT 2::HUGEINT ** 0 AS n, DATE '2024-01-01' AS d, sum(rows) FROM worlds", "--json")
    )
    assert "Error: " in run("query", "SELECT colour FROM worlds", code=1)
    assert "choose one of" in run("query", sql, "--csv", "--json", code=2)
    assert "quotes" in run("query", "SELECT", "1", "2", code=2)


def test_domains(tmp_path):
    assert "hotel" in run("domains")
    assert "hotel" in {d["domain"] for d in json.loads(run("domains", "--json"))}
    file = tmp_path / "bakery.yaml"
    assert "there is no such file" in run("domains", "--check", file, code=1)
    file.write_text("id: bakery\ngroup: food\ntitle: Bakery\nsummary: Bread.\nentities: {loaf: {is: nothing}}\n")
    assert "bakery.yaml: no archetype" in run("domains", "--check", file, code=1)
    file.write_text("id: bakery\ngroup: [\n")
    assert "bakery.yaml:" in run("domains", "--check", file, code=1)
    file.write_text(
        "id: bakery\ngroup: food\ntitle: Bakery\nsummary: Bread.\nentities: {loaf: {is: catalog_item, names: [Rye]}}\n"
    )
    assert "is sound: 1 entities, 0 rules" in run("domains", "--check", file)


def test_pools(tmp_path):
    assert "locales en_US" in run("pools", "show")
    assert json.loads(run("pools", "show", "--json"))["digest"]
    assert "Missing option '--locale'" in run("pools", "build", "--out", tmp_path, code=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["spawn", "--n", "0"], "n is 0"),
        (["spawn"], "say how many"),
        (["spawn", "--n", "1", "--profile", "tinny"], "did you mean 'tiny'"),
        (["spawn", "--suite", "evil"], "did you mean 'eval'"),
        (["spawn", "--n", "1", "--pools", "nowhere"], "nowhere"),
        (["list", "nowhere"], "holds no store"),
        (["check", "nowhere"], "holds no store"),
        (["export", "nowhere"], "holds no store"),
        (["query", "nowhere", "SELECT 1"], "holds no export and no store"),
        (["stats", "nowhere"], "there is no such file"),
        (["show", "hotel-9", "--store", "nowhere"], "holds no store"),
        (["show", "nothing"], "no world named 'nothing'"),
        (["show", "nothing-302"], "no world named 'nothing-302'"),
        (["open", "nothing-302", "--to", "x.sqlite", "--store", "data/out"], "no world named 'nothing-302'"),
    ],
)
def test_mistakes_are_one_line(arguments, message):
    said = run(*arguments, code=1)
    assert message in said
    assert said.count("\n") == 1


def test_a_closed_pipe_is_quiet(home):
    code = f"{sys.executable} -m worlddb.cli list {home} | head -1"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout
    assert "Traceback" not in done.stderr


def test_ctrl_c_is_quiet(monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("worlddb.store.open_store", interrupted)
    assert "interrupted" in run("list", code=130)


def test_progress_without_a_terminal(monkeypatch, capsys):
    from worlddb.cli.common import _sparse_lines

    report = _sparse_lines("growing", every=0)
    report(3, 9)
    assert capsys.readouterr().err == "growing: 3 of 9\n"


def test_progress_on_a_terminal(monkeypatch, capsys):
    from worlddb.cli.common import progress

    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with progress("growing") as report:
        report(1, 2)
    shown = capsys.readouterr()
    assert "growing" in shown.err
    assert "growing: 1 of 2" not in shown.err, "a terminal gets a bar, not the lines of a log"
    assert shown.out == ""
