"""Policies in the check of a manifest: what is refused, what is said, what only the log is told."""

from typing import Any

import pytest
import yaml
from inline_snapshot import snapshot
from policy_examples import document
from worlds import World

from towpath_server.domains.policies import service as policies

YAML = {"content-type": "application/yaml"}


def many(name: str, mode: str, team: str | None = None, **validation: Any) -> dict[str, Any]:
    rule = {
        "expression": "resources.replicas < 2",
        "messageExpression": "string(resources.replicas) + ' replicas of `' + model.name + '`'",
        "fix": "One is enough.",
        "path": "#/spec/scaling/maxReplicas",
        **validation,
    }
    return document(name, team, mode=mode, validations=[rule])


async def send(world: World, *, dry_run: bool = False, **spec: Any) -> Any:
    text = yaml.safe_dump(world.manifest(**spec), sort_keys=False)
    query = f"environment=sandbox{'&dry_run=true' if dry_run else ''}"
    return await world.api.call(
        "POST", f"/deployments?{query}", content=text.encode(), headers=YAML
    )


async def test_a_policy_refuses_with_place_line_fix_and_its_name(world: World) -> None:
    await world.api.create("/policies", **many("few", "enforce"))
    await world.api.create("/policies", **many("own", "enforce", "care", reason="TeamSaysSo"))

    refused = await send(world, scaling={"maxReplicas": 2}, runtime={"name": "tinny"})

    assert refused.status_code == 422
    found = refused.json()["findings"]
    assert {(one["path"], one["reason"]) for one in found} == {
        ("#/spec/runtime/name", "UnknownRuntime"),
        ("#/spec/scaling/maxReplicas", "Few"),
        ("#/spec/scaling/maxReplicas", "TeamSaysSo"),
    }
    assert next(one for one in found if one["reason"] == "Few") == snapshot(
        {
            "path": "#/spec/scaling/maxReplicas",
            "reason": "Few",
            "message": "2 replicas of `triage` (policy `few`).",
            "line": 12,
            "fix": "One is enough; or ask to be exempt: `towpath policies request few triage --project care/triage --environment sandbox --until DATE --reason TEXT`.",
        }
    )
    assert (await world.api.get("/deployments"))["items"] == []


async def test_a_warning_goes_with_the_deployment_and_its_dry_run(world: World) -> None:
    await world.api.create("/policies", **many("few", "warn"))

    dry = await send(world, dry_run=True, scaling={"maxReplicas": 2})
    made = await send(world, scaling={"maxReplicas": 2})
    better = await send(world, scaling={"maxReplicas": 1})

    assert (
        dry.json()["warnings"]
        == made.json()["warnings"]
        == snapshot(
            [
                {
                    "path": "#/spec/scaling/maxReplicas",
                    "reason": "Few",
                    "message": "2 replicas of `triage` (policy `few`).",
                    "line": 12,
                    "fix": "One is enough.",
                }
            ]
        )
    )
    assert "1 policy" in dry.json()["message"]
    assert "1 policy" in made.json()["conditions"][0]["message"]
    assert better.json()["warnings"] == []
    assert (await world.get())["warnings"] == []


async def test_an_audit_policy_tells_the_audit_log_alone(world: World) -> None:
    await world.api.create("/policies", **many("few", "audit"))

    made = await send(world, scaling={"maxReplicas": 2})

    (event,) = (await world.api.get("/audit?noun=deployment"))["items"]
    assert made.json()["warnings"] == []
    assert event["changes"]["policies"] == snapshot(
        [
            {
                "policy": "few",
                "reason": "Few",
                "path": "#/spec/scaling/maxReplicas",
                "message": "2 replicas of `triage` (policy `few`).",
            }
        ]
    )


@pytest.mark.parametrize("mode", ["enforce", "warn"])
async def test_a_policy_that_cannot_be_worked_out_does_not_pass(world: World, mode: str) -> None:
    broken = many("broken", mode, expression="spec.nothing.there == 1")
    await world.api.create("/policies", **broken)

    answer = await send(world)

    found = answer.json()["findings" if mode == "enforce" else "warnings"]
    assert answer.status_code == (422 if mode == "enforce" else 201)
    assert [(one["reason"], one["message"]) for one in found] == [
        (
            "PolicyFailed",
            "The policy `broken` cannot be worked out for this manifest: there is no `nothing`.",
        )
    ]


async def test_what_the_manifest_gets_wrong_itself_is_not_a_policys_finding(world: World) -> None:
    """A licence of a model that is not there is nobody's to judge."""
    await world.api.create("/policies", **many("few", "enforce", expression="model.licence == 'x'"))
    await world.api.create("/policies", **many("odd", "enforce", expression="spec.scaling.a == 1"))

    refused = await send(world, model={"uri": "models:/nothing/1"}, scaling=[])

    assert {one["path"] for one in refused.json()["findings"]} == {
        "#/spec/model/uri",
        "#/spec/scaling",
    }


async def test_a_team_is_not_judged_by_what_another_set(world: World) -> None:
    await world.api.create("/teams", name="other")
    await world.api.create("/policies", **many("theirs", "enforce", "other"))

    made = await send(world, scaling={"maxReplicas": 2})

    assert made.status_code == 201


async def test_all_facts_are_what_the_platform_knows(world: World) -> None:
    facts = (
        "environment == 'sandbox' && team == 'care' && project == 'care/triage' && !present"
        " && caller.kind == 'admin' && caller.role == 'platform'"
        " && model.name == 'triage' && model.version == 1 && model.digest.startsWith('sha256:')"
        " && model.format == 'tiny' && model.licence == '' && model.size_bytes > 0"
        " && model.card == '' && !model.carries_code && model.tags.size() == 0"
        " && runtime.name == 'tiny' && runtime.version == '1.0' && !runtime.shipped"
        " && resources.cpu_milli == 500 && resources.memory_bytes == 67108864"
        " && resources.gpus == 0 && evaluations.size() == 0"
        " && manifest.kind == 'ModelDeployment' && spec == manifest.spec"
    )
    await world.api.create("/policies", **many("all", "enforce", expression=facts))

    made = await send(world, resources={"requests": {"cpu": "500m", "memory": "64Mi"}})

    assert made.status_code == 201, made.text


async def test_the_defaults_let_a_sandbox_be_a_sandbox(world: World) -> None:
    async with world.db.write() as tx:
        await policies.install_defaults(tx)

    made = await send(world)

    assert made.status_code == 201, made.text
    assert made.json()["warnings"] == []


async def test_results_on_record_are_facts_the_last_of_each_suite(world: World) -> None:
    passed = "evaluations.exists(one, one.suite == 'golden' && one.verdict == 'pass')"
    enough = "evaluations.all(one, one.metric != 'accuracy' || one.value >= 0.8)"
    rule = many("good", "enforce", expression=f"{passed} && {enough}")
    await world.api.create("/policies", **rule)

    async def recorded(accuracy: float, verdict: str, **more: Any) -> int:
        body = {
            "model": "triage", "version": 1, "suite": "golden", "suite_version": "7",
            "metrics": {"accuracy": {"value": accuracy}}, "source": "by hand", "verdict": verdict,
            **more,
        }  # fmt: skip
        await world.api.create("/evaluations", **body)
        return (await send(world, dry_run=True)).status_code

    assert (await send(world, dry_run=True)).status_code == 422
    assert await recorded(0.71, "fail") == 422
    assert await recorded(0.88, "pass", runtime="another") == 422
    assert await recorded(0.88, "pass") == 200
