"""Policies: who sets them, what is kept, and what they say of a manifest."""

from typing import Any

import pytest
import yaml
from examples import World, build
from inline_snapshot import snapshot
from policy_examples import document

from towpath_server.domains.policies import service as policies
from towpath_server.domains.policies.service import defaults


@pytest.fixture
async def world(api) -> World:
    return await build(api)


def of(world: World, actor: str):
    return world.api.as_(world.tokens[actor])


async def test_the_same_name_again_replaces_a_policy_and_both_are_kept(world) -> None:
    made = await world.api.create("/policies", **document("few", None))
    again = await world.api.call("POST", "/policies", document("few", None), status=200)
    changed = await world.api.call(
        "POST", "/policies", document("few", None, mode="warn"), status=200
    )
    stale = await world.api.call(
        "POST", "/policies", document("few", None), headers={"if-match": '"1"'}, status=412
    )
    await world.api.call("DELETE", "/policies/few", status=204)
    events = (await world.api.get("/audit?noun=policy"))["items"]

    assert again.json()["revision"] == made["revision"] == 1
    assert changed.json() | {"updated_at": None} == {
        **made, "mode": "warn", "revision": 2, "updated_at": None,
        "document": document("few", None, mode="warn"),
    }  # fmt: skip
    assert stale.json()["code"] == "revision_conflict"
    assert {event["action"] for event in events} == {
        "policy.created", "policy.updated", "policy.deleted", "policy.create",
    }  # fmt: skip


async def test_what_a_policy_said_is_listed_newest_first(world) -> None:
    await world.api.create("/policies", **document("few", None))
    await world.api.call("POST", "/policies", document("few", None, mode="audit"), status=200)

    first = await world.api.get("/policies/few/versions?limit=1")
    second = await world.api.get(f"/policies/few/versions?limit=1&after={first['next']}")

    listed = [*first["items"], *second["items"]]
    assert [(one["number"], one["change"], one["mode"]) for one in listed] == [
        (2, "updated", "audit"), (1, "created", "enforce"),
    ]  # fmt: skip
    assert second["next"] is None


async def test_a_team_admin_restricts_the_own_team_and_nobody_else(world) -> None:
    admin = of(world, "alpha admin")
    everybodys = await world.api.create("/policies", **document("everybodys", None))

    own = await admin.call("POST", "/policies", document("own"), status=201)
    all_ = await admin.call("POST", "/policies", document("all", None), status=403)
    foreign = await admin.call("POST", "/policies", document("theirs", "beta"), status=404)
    taken = await admin.call("POST", "/policies", document("everybodys"), status=409)
    gone = await admin.call("DELETE", "/policies/everybodys", status=403)
    await of(world, "alpha developer").call("POST", "/policies", document("dev"), status=403)

    assert own.json()["team"] == "alpha"
    assert "takes the platform role" in all_.json()["detail"]
    assert foreign.json()["code"] == "not_found"
    assert taken.json()["code"] == "name_taken"
    assert "the organisation's" in gone.json()["detail"]
    assert [one["name"] for one in (await of(world, "beta viewer").get("/policies"))["items"]] == [
        everybodys["name"]
    ]


async def test_policies_go_with_their_team(world) -> None:
    await world.api.create("/teams", name="gamma")
    await world.api.create("/policies", **document("gammas", "gamma"))

    await world.api.call("DELETE", "/teams/gamma", status=204)

    await world.api.call("GET", "/policies/gammas", status=404)


async def test_everything_that_is_wrong_with_a_policy_has_its_line(world) -> None:
    text = """\
apiVersion: towpath.dev/v1
kind: Policy
metadata:
  name: Too Few
spec:
  mode: enforced
  validations:
    - expression: resources.replica <= 4
      mesage: x
"""
    refused = await world.api.call(
        "POST", "/policies", content=text.encode(), headers={"content-type": "application/yaml"},
        status=422,
    )  # fmt: skip

    assert [(one["path"], one.get("line")) for one in refused.json()["findings"]] == [
        ("#/apiVersion", 1),
        ("#/metadata/name", 4),
        ("#/spec/mode", 6),
        ("#/spec/validations/0/mesage", 9),
    ]
    assert refused.json()["findings"][3]["fix"] == "Did you mean `message`?"


async def test_expressions_are_checked_when_a_policy_is_set(world) -> None:
    body = document(
        "few",
        None,
        matchConditions=[{"name": "a", "expression": "environment"}],
        variables=[{"name": "b", "expression": "variables.c"}, {"name": "b", "expression": "1"}],
        validations=[{"expression": "resources.replica <= 4", "message": "Too many"}],
    )

    refused = await world.api.call("POST", "/policies", body, status=422)

    found = {one["path"]: (one["reason"], one["fix"]) for one in refused.json()["findings"]}
    assert refused.json()["code"] == "policy_invalid"
    assert found == snapshot(
        {
            "#/spec/validations/0/fix": (
                "Missing",
                "Write one of them: a refusal says what is wrong and what to do.",
            ),
            "#/spec/variables/1/name": ("Duplicate", "Give each a name of its own."),
            "#/spec/variables/0/expression": (
                "InvalidExpression",
                "Variables: none before this one.",
            ),
            "#/spec/matchConditions/0/expression": (
                "InvalidExpression",
                "Write an expression that gives true or false.",
            ),
            "#/spec/validations/0/expression": ("InvalidExpression", "Did you mean `replicas`?"),
        }
    )


async def test_there_is_an_end_to_policies(world, monkeypatch) -> None:
    # The real bound would take a hundred writes.
    monkeypatch.setattr(policies, "MAX_POLICIES", 1)
    await world.api.create("/policies", **document("one"))

    refused = await world.api.call("POST", "/policies", document("two"), status=422)
    await world.api.create("/policies", **document("other", None))

    assert refused.json()["findings"][0]["reason"] == "TooMany"


async def test_a_dry_evaluation_tries_policies_that_are_not_in_force(world) -> None:
    case = {
        "environment": "staging",
        "manifest": {"spec": {"scaling": {"maxReplicas": 9}}},
        "facts": {"resources": {"replicas": 9}},
    }
    await world.api.create("/policies", **document("in-force", mode="audit"))
    admin = of(world, "alpha admin")

    tried = await admin.call(
        "POST", "/policies/evaluate", {"policies": [document("few")], "cases": [case]}, status=200
    )
    held = await admin.call("POST", "/policies/evaluate", {"team": "alpha", "cases": [case]})
    others = await of(world, "beta admin").call("POST", "/policies/evaluate", {"cases": [case]})

    assert tried.json()["cases"] == snapshot(
        [
            {
                "policies": 1,
                "raised": [
                    {
                        "path": "#/spec/scaling/maxReplicas",
                        "reason": "Few",
                        "message": "Four replicas are enough (policy `few`).",
                        "line": None,
                        "fix": "Ask for at most four.",
                        "policy": "few",
                        "mode": "enforce",
                    }
                ],
            }
        ]
    )
    assert [one["policy"] for one in held.json()["cases"][0]["raised"]] == ["in-force"]
    assert others.json()["cases"] == [{"policies": 0, "raised": []}]
    assert len((await world.api.get("/policies"))["items"]) == 1


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"policies": [{"kind": "Policy"}], "cases": []}, "#/cases"),
        ({"policies": [{"kind": "Policy"}]}, "#/policies/0/metadata"),
        ({"cases": [{"environment": "sandbox", "manifest": {}, "facts": {"modl": {}}}]}, "#/cases/0/facts/modl"),
        ({"cases": [{"environment": "sandbox", "manifest": {}, "facts": {"model": 1}}]}, "#/cases/0/facts/model"),
    ],
)  # fmt: skip
async def test_a_dry_evaluation_says_what_it_cannot_try(world, body: Any, path: str) -> None:
    whole = {"cases": [{"environment": "sandbox", "manifest": {}}], **body}

    refused = await world.api.call("POST", "/policies/evaluate", whole, status=422)

    assert path in [one["path"] for one in refused.json()["findings"]]


async def test_defaults_are_set_once_and_stay_deleted(world, db) -> None:
    async with db.write() as tx:
        await policies.install_defaults(tx)
    await world.api.call("DELETE", "/policies/owner-annotation", status=204)
    mild = document("memory-limits", None, mode="audit")
    await world.api.call("POST", "/policies", mild, status=200)

    async with db.write() as tx:
        await policies.install_defaults(tx)

    listed = {one["name"]: one for one in (await world.api.get("/policies?limit=100"))["items"]}
    assert set(listed) == {one.name for one in defaults()} - {"owner-annotation"}
    assert listed["memory-limits"]["mode"] == "audit"


async def test_every_default_is_shown_as_it_comes_with_its_reasons(world) -> None:
    listed = (await of(world, "alpha/one invoke key").get("/policy-defaults"))["items"]

    assert [one["name"] for one in listed] == sorted(one.name for one in defaults())
    for one, default in zip(listed, defaults(), strict=True):
        assert one == await world.api.get(f"/policy-defaults/{one['name']}")
        assert one["document"] == yaml.safe_load(default.text)
        assert one["description"]
        assert default.text.startswith("# ")
