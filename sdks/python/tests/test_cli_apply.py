"""`towpath apply`: a folder is the truth."""

from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from towpath.testing import Answer

FOLDER = {
    "limits.yaml": """\
apiVersion: towpath.dev/v1alpha1
kind: Limit
spec: {team: care, requests_per_minute: 900}
---
apiVersion: towpath.dev/v1alpha1
kind: Budget
spec: {project: care/triage, tokens: 1000, period: day, mode: hard}
""",
    "org/teams.yaml": """\
apiVersion: towpath.dev/v1alpha1
kind: Project
metadata: {name: triage, team: care}
---
apiVersion: towpath.dev/v1alpha1
kind: Team
metadata: {name: care}
""",
    "signature.json": '{"inputs": []}',
}
TEAM = {"id": "team_1", "name": "care", "revision": 1, "weight": 1}
PROJECT = {"id": "prj_1", "name": "triage", "team": "team_1", "path": "care/triage", "revision": 1}
LIMIT = {
    "id": "lim_1",
    "revision": 4,
    "key": None,
    "project": None,
    "team": "care",
    "endpoint": None,
    "requests_per_minute": {"limit": 600, "burst": 50},
}
OTHER = {**LIMIT, "id": "lim_2", "revision": 2, "team": None, "project": "care/triage"}


def page(*items: dict[str, Any]) -> Answer:
    return Answer(body={"items": list(items), "next": None})


@pytest.fixture
def folder(cli: Any, home: Path) -> Path:
    """Return a folder; of it, the budget is not there yet and the limit is another."""
    root = home / "platform"
    for name, text in FOLDER.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for path, items in (
        ("teams", [TEAM]),
        ("projects", [PROJECT]),
        ("limits", [LIMIT, OTHER]),
        ("budgets", []),
        ("endpoints", []),
        ("deployments", []),
        ("applications", []),
    ):
        cli.fake.answer("GET", f"/api/v1/{path}", *[page(*items)] * 9)
    return root


def writes(cli: Any) -> list[tuple[str, str, Any]]:
    return [(c.method, c.path, c.body) for c in cli.fake.calls if c.method != "GET"]


def test_a_difference_is_shown_and_nothing_is_changed(cli: Any, folder: Path) -> None:
    done = cli("apply", "-f", str(folder), "--diff")

    assert (done.code, done.out, done.err) == snapshot(
        (
            3,
            """\
~ Limit care    HOME/platform/limits.yaml
    requests_per_minute: {"limit": 600, "burst": 50} → 900
+ Budget care/triage · day    HOME/platform/limits.yaml
""",
            "1 to create, 1 to change, 0 to delete, 2 as they are.\n",
        )
    )
    assert writes(cli) == []


def test_what_differs_is_written_with_the_revision_it_was_read_at(cli: Any, folder: Path) -> None:
    cli.fake.answer("PATCH", "/api/v1/limits/lim_1", Answer(body={**LIMIT, "revision": 5}))
    cli.fake.answer("POST", "/api/v1/budgets", Answer(201, {"id": "bgt_1", "revision": 1}))

    done = cli("apply", "-f", str(folder))

    assert (done.code, writes(cli)) == snapshot(
        (
            0,
            [
                ("PATCH", "/api/v1/limits/lim_1", {"requests_per_minute": 900}),
                (
                    "POST",
                    "/api/v1/budgets",
                    {"project": "care/triage", "tokens": 1000, "period": "day", "mode": "hard"},
                ),
            ],
        )
    )
    patched = next(call for call in cli.fake.calls if call.method == "PATCH")
    assert patched.headers["if-match"] == '"4"'


def test_prune_deletes_what_the_declared_projects_have_beside_it(cli: Any, folder: Path) -> None:
    cli.fake.answer("PATCH", "/api/v1/limits/lim_1", Answer(body=LIMIT))
    cli.fake.answer("POST", "/api/v1/budgets", Answer(201, {"id": "bgt_1", "revision": 1}))
    cli.fake.answer("DELETE", "/api/v1/limits/lim_2", Answer(204))

    unasked = cli("apply", "-f", str(folder), "--prune", stdin="n\n")
    before = writes(cli)
    done = cli("apply", "-f", str(folder), "--prune", "--yes")

    assert (unasked.code != 0, before) == (True, [])
    assert "- Limit care/triage\n" in unasked.out
    assert ("DELETE", "/api/v1/limits/lim_2", None) in writes(cli)
    assert done.code == 0


def test_a_plan_can_be_posted_on_a_merge_request(cli: Any, folder: Path) -> None:
    done = cli("apply", "-f", str(folder), "--diff", "--markdown")

    assert done.out.startswith("### Towpath plan\n\n```diff\n~ Limit care")
    assert done.out.endswith("1 to create, 1 to change, 0 to delete, 2 as they are.\n")


def test_a_manifest_is_checked_before_anything_is_written(cli: Any, folder: Path) -> None:
    (folder / "triage.yaml").write_text(
        """\
apiVersion: towpath.dev/v1alpha1
kind: ModelDeployment
metadata: {name: triage, project: care/triage}
spec: {model: {uri: models:/triage/1}, runtime: {name: torchserve}}
"""
    )
    finding = {
        "path": "#/spec/runtime/name",
        "reason": "UnknownRuntime",
        "message": "There is no runtime `torchserve`.",
        "fix": "Use one of `llama.cpp`, `onnx`.",
    }
    problem = {"status": 422, "code": "manifest_invalid", "detail": "…", "findings": [finding]}
    headers = {"content-type": "application/problem+json"}
    cli.fake.answer("POST", "/api/v1/deployments", Answer(422, problem, headers))

    done = cli("apply", "-f", str(folder))

    assert done.code == 1
    assert "fix: Use one of `llama.cpp`, `onnx`." in done.out
    assert "1 refused, nothing is changed" in done.err
    (checked,) = (call for call in cli.fake.calls if call.method != "GET")
    assert checked.query == {"environment": "sandbox", "dry_run": "true"}


ALIAS = """\
apiVersion: towpath.dev/v1alpha1
kind: Alias
spec: {model: triage, alias: champion, version: 3, reason: "0.86 on the suite"}
"""
POINTS = {"id": "als_1", "revision": 2, "model": "triage", "alias": "champion", "reason": "old"}
ALIAS_AT = "/api/v1/models/triage/aliases/champion"


@pytest.mark.parametrize(
    ("there", "verb", "since"),
    [
        (Answer(404, {"code": "not_found", "detail": "There is none."}), "create", None),
        (Answer(body={**POINTS, "version": 2}), "change", '"2"'),
        (Answer(body={**POINTS, "version": 3}), None, None),
    ],
)
def test_an_alias_is_pointed_where_it_is_declared_to_point(
    cli: Any, home: Path, there: Answer, verb: str | None, since: str | None
) -> None:
    (home / "alias.yaml").write_text(ALIAS)
    cli.fake.answer("GET", ALIAS_AT, there)
    cli.fake.answer("PUT", ALIAS_AT, Answer(body={"id": "als_1", "revision": 3}))

    done = cli("apply", "-f", str(home / "alias.yaml"))

    assert done.code == 0
    body = {"version": 3, "reason": "0.86 on the suite"}
    assert writes(cli) == ([("PUT", ALIAS_AT, body)] if verb else [])
    assert [c.headers.get("if-match") for c in cli.fake.calls if c.method == "PUT"] == (
        [since] if verb else []
    )


def test_a_member_is_known_by_the_address_that_is_declared(cli: Any, folder: Path) -> None:
    (folder / "member.yaml").write_text(
        "apiVersion: towpath.dev/v1alpha1\nkind: Member\n"
        "spec: {team: care, user: ada@example.com, role: owner}\n"
    )
    cli.fake.answer("GET", "/api/v1/users/ada%40example.com", Answer(body={"id": "usr_1"}))
    there = {"id": "mem_1", "revision": 7, "team": "team_1", "user": "usr_1", "role": "developer"}
    cli.fake.answer("GET", "/api/v1/members", page(there))

    done = cli("apply", "-f", str(folder), "--diff")

    assert "~ Member care · ada@example.com" in done.out
    assert "role: developer → owner" in done.out.replace('"', "")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("apiVersion: towpath.dev/v1alpha1\nkind: Limt\n", "declares a `Limt`"),
        ("apiVersion: towpath.dev/v1alpha1\nkind: Team\nname: a\n", "more than metadata and spec"),
        ("apiVersion: towpath.dev/v1alpha1\nkind: Team\nmetadata: {name: care}\n", "and again in"),
        ("a: [", "is not YAML"),
        (
            "apiVersion: towpath.dev/v1alpha1\nkind: Alias\nspec: {alias: champion}\n",
            "declares an Alias without `model`",
        ),
    ],
)
def test_what_cannot_be_declared_is_refused_by_file(
    cli: Any, folder: Path, text: str, says: str
) -> None:
    (folder / "z.yaml").write_text(text)

    done = cli("apply", "-f", str(folder))

    assert done.code == 1
    assert says in done.err
    assert writes(cli) == []
