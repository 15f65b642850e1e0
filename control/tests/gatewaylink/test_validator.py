"""What the gateways would refuse is never committed."""

import re
import sys
from pathlib import Path

import gateway_program
import pytest

from towpath_server.core import revision
from towpath_server.core.access import SYSTEM
from towpath_server.core.errors import Unavailable
from towpath_server.domains.teams import service as teams
from towpath_server.gatewaylink import validator as validators
from towpath_server.gatewaylink.catalog import catalog
from towpath_server.gatewaylink.entity import Entity
from towpath_server.gatewaylink.validator import TableRefused, Validator, findings


@pytest.fixture
async def guarded(db):
    """A database whose commits are guarded; the catalogue may be broken by the test."""
    kinds = dict(catalog("EUR"))
    found = Validator(gateway_program.find(), kinds)
    db.before_commit.append(found.before_commit)
    yield kinds
    await found.close()


async def test_a_change_that_the_gateway_takes_is_committed(db, guarded):
    async with db.write() as tx:
        await teams.create(tx, SYSTEM, name="care")

    async with db.read() as tx:
        assert await teams.find(tx, "care") is not None


async def test_a_change_that_the_gateway_would_refuse_is_rolled_back(db, guarded):
    async def load(tx, *, ids=None, after="", limit=0):
        return [(id_, {"name": "care", "colour": "blue"}) for id_ in ids or ()]

    guarded["team"] = load

    with pytest.raises(TableRefused, match="colour"):
        async with db.write() as tx:
            await teams.create(tx, SYSTEM, name="care")

    async with db.read() as tx:
        assert await teams.find(tx, "care") is None
        assert await revision.current(tx) == 0


STATIC = {"url": "http://gpu.internal:8000/v1", "model": "m"}
TOO_MUCH = {
    "input_tokens > 4000 && input_token < 9000": ("`input_token` is no fact", "`input_tokens`"),
    "input_tokens >": ("Rule `long`: line 1, column", "CEL expression"),
    "labels.all(x, x == 'a')": ("loops", "without loops"),
    "project.matches('(a+)+$')": ("`matches` is not allowed", "without loops"),
    "input_tokens + 1": ("neither true nor false", "true or false"),
    " || ".join(["key==''"] * 90): ("is too large", "192 parts"),
    "(" * 17 + "stream" + ")" * 17: ("nested too deeply", "small CEL"),
}


async def test_a_rule_that_is_wrong_or_costs_too_much_is_refused_with_its_path(api, guarded):
    """Who may write a rule must not be able to slow everybody down, and hears of a slip at once."""
    await api.create("/teams", name="care")
    await api.create("/projects", team="care", name="chat")
    targets = [{"static": {**STATIC, "name": name}} for name in ("small", "large")]
    levels = [{"name": name, "target": name} for name in ("small", "large")]
    body = {"name": "chat", "environment": "sandbox", "project": "care/chat", "targets": targets}

    for when, (says, fix) in TOO_MUCH.items():
        rules = [
            {"name": "fine", "when": "stream", "level": "small"},
            {"name": "long", "when": when, "level": "large"},
        ]
        tier = {"levels": levels, "rules": rules}
        answer = await api.call("POST", "/endpoints", {**body, "tier": tier}, status=422)

        problem = answer.json()
        (found,) = problem["findings"]
        assert (problem["code"], found["path"]) == ("table_refused", "#/tier/rules/1/when")
        assert says in found["message"]
        assert fix in found["fix"]
    assert (await api.get("/endpoints"))["items"] == []


DOCS = Path(__file__).parents[3] / "docs"


async def test_the_docs_list_the_facts_that_a_rule_may_use():
    """The gateway itself says which there are."""
    guide = (DOCS / "guides" / "routing.md").read_text()
    (sentence,) = (line for line in guide.splitlines() if line.startswith("A rule is a CEL"))
    concept = (DOCS / "concepts" / "tiers-and-cache.md").read_text()
    table = concept.partition("| fact | is |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    tier = {
        "levels": [{"name": name, "target": name} for name in ("a", "b")],
        "rules": [{"name": "r", "when": "zzzzzzzz == 1", "level": "a"}],
    }
    endpoint = {
        "name": "m",
        "environment": "sandbox",
        "project": "prj_1",
        "visibility": "project",
        "callers": ["sandbox"],
        "targets": [{"target": name, "weight": 1} for name in ("a", "b")],
        "created_at_ms": 0,
        "tier": tier,
    }
    gateway = Validator(gateway_program.find(), {})
    try:
        said = await gateway.refusal([Entity("endpoint", "end_1", endpoint)]) or ""
    finally:
        await gateway.close()

    facts = set(said.partition("there is ")[2].split(", "))
    assert len(facts) > 5
    assert set(re.findall(r"`(\w+)`", sentence)) == facts
    assert set(re.findall(r"`(\w+)`", "".join(rows))) == facts


def program(tmp_path: Path, body: str) -> Path:
    """Write a program that stands in for a gateway that misbehaves."""
    path = tmp_path / "gateway"
    path.write_text(f"#!{sys.executable}\n{body}\n")
    path.chmod(0o700)
    return path


@pytest.mark.parametrize(
    "body",
    ["import sys; sys.exit(3)", "print('not json', flush=True); input(); input()"],
    ids=["dies", "babbles"],
)
async def test_a_validator_that_does_not_work_lets_nothing_through(tmp_path, body):
    found = Validator(program(tmp_path, body), {})
    try:
        with pytest.raises(Unavailable, match="validator does not answer"):
            await found.refusal([Entity("team", "team_1", {"name": "care"})])
    finally:
        await found.close()


async def test_a_validator_that_hangs_is_given_up_and_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(validators, "_ANSWER_S", 0.2)
    hang_once = (
        "import os, sys, pathlib\n"
        "flag = pathlib.Path(sys.argv[0]).with_name('hung')\n"
        "first = not flag.exists(); flag.touch()\n"
        "for line in sys.stdin:\n"
        "    first or print('{\"ok\": true}', flush=True)\n"
    )
    found = Validator(program(tmp_path, hang_once), {})
    entity = Entity("team", "team_1", {"name": "care"})
    try:
        with pytest.raises(Unavailable):
            await found.refusal([entity])
        monkeypatch.setattr(validators, "_ANSWER_S", 20)

        assert await found.refusal([entity]) is None
    finally:
        await found.close()


async def test_a_program_that_is_missing_lets_nothing_through(tmp_path):
    found = Validator(tmp_path / "nothing", {})

    with pytest.raises(Unavailable):
        await found.refusal([Entity("team", "team_1", {"name": "care"})])


@pytest.mark.parametrize(
    ("reason", "pointer"),
    [
        ("endpoint `end_1`: 0 attempts let no call through", "#/retries/attempts"),
        ("endpoint `end_1`: a timeout of 0 lets no call through", "#/timeouts"),
        ("endpoint `end_1`: fallback `tgt_1` is listed twice", "#/fallback"),
        ("endpoint `end_1`: tier rule `long`: unknown name `reqest`", "#/tier"),
        ("target `tgt_1`: quirk `x` is none of `a`, `b`", "#/quirks"),
        ("target `tgt_1` is not in the table, but endpoint `end_1` names it", "#"),
    ],
)
def test_a_refusal_names_the_field_it_is_about(reason, pointer):
    (found,) = findings(reason)

    assert found.path == pointer
    assert found.message.endswith(".")
