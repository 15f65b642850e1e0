"""From one environment to the next: the same content, with the approval of somebody else."""

from dataclasses import dataclass
from typing import Any

import pytest
from people import person
from platform_api import Api
from worlds import World


@dataclass
class Team:
    """A world, and who works in it."""

    world: World
    dev: Api
    admin: Api
    other: Api
    platform: Api

    async def ready(self, environment: str, deployment_id: str) -> Any:
        """Reconcile until a deployment is ready; return it."""
        found = await self.world.until(deployment_id, lambda _: True)
        while found["phase"] != "Ready" or found["serving_revision"] != found["revision"]:
            found = await self.world.until(deployment_id, lambda _: True)
        assert found["environment"] == environment
        return found

    async def serve(self, environment: str = "staging", **spec: Any) -> Any:
        """Deploy and wait until it serves."""
        made = await self.admin.call(
            "POST", f"/deployments?environment={environment}", self.world.manifest(**spec)
        )
        assert made.status_code in {200, 201}, made.text
        return await self.ready(environment, made.json()["id"])

    async def ask(self, to: str = "production", **more: Any) -> Any:
        """Ask for a promotion, as the developer."""
        return await self.dev.create(
            "/approvals",
            kind="promotion",
            payload={"deployment": "triage", "to": to, **more},
            reason="it is better",
        )


@pytest.fixture
async def team(world: World) -> Team:
    async def ready(deployment_id: str) -> Any:
        return await world.api.get(f"/deployments/{deployment_id}")

    world.shown = ready
    api = world.api
    return Team(
        world,
        dev=await person(api, "Dora", team="care", role="developer"),
        admin=await person(api, "Ada", team="care", role="admin"),
        other=await person(api, "Olaf", team="care", role="admin"),
        platform=await person(api, "Pia", role="platform"),
    )


def findings(answer: Any) -> dict[str, Any]:
    return {one["reason"]: one for one in answer.json()["findings"]}


async def promote(who: Api, to: str, *, status: int, query: str = "", **body: Any) -> Any:
    return await who.call(
        "POST", f"/deployments/triage/promote{query}", {"to": to, **body}, status=status
    )


async def test_a_developer_promotes_to_staging_what_serves_in_the_sandbox(team: Team) -> None:
    source = await team.serve("sandbox", scaling={"maxConcurrency": 4})
    await team.world.version("weights of a second version")

    made = (await promote(team.dev, "staging", status=201)).json()

    assert made["environment"] == "staging"
    assert (made["model"], made["runtime"]) == (source["model"], source["runtime"])
    assert made["origin"] == {
        "how": "promotion",
        "by": "dora@example.org",
        "by_id": made["origin"]["by_id"],
        "source": {"deployment": source["id"], "environment": "sandbox", "revision": 1},
        "approval": None,
        "approved_by": [],
        "reason": None,
    }
    assert made["expires_at"] is None
    served = await team.ready("staging", made["id"])
    assert [c["type"] for c in served["conditions"]] == [c["type"] for c in source["conditions"]]
    target = await team.world.target(made["id"])
    assert target is not None
    assert target.handling.max_concurrency == 4


async def test_what_is_not_ready_is_not_promoted_and_everything_is_said_at_once(team: Team) -> None:
    overrides = {"production": {"runtime": {"args": ["--shuot=1"]}}}
    made = await team.admin.call(
        "POST", "/deployments?environment=staging", team.world.manifest(overrides=overrides)
    )
    assert made.status_code == 201

    refused = await promote(team.dev, "production", status=422)

    assert set(findings(refused)) == {"SourceNotReady", "ApprovalNeeded", "UnknownArgument"}
    assert findings(refused)["UnknownArgument"]["path"] == (
        "#/spec/overrides/production/runtime/args/0"
    )
    listed = await team.world.api.get("/deployments?environment=production")
    assert listed["items"] == []


async def test_a_promotion_only_leads_onwards(team: Team) -> None:
    await team.serve("staging")

    for to in ("staging", "sandbox"):
        refused = await promote(team.dev, to, status=422)
        assert findings(refused)["NotOnwards"]["path"] == "#/to"


async def test_production_is_not_for_manifests_of_those_who_may_only_ask(team: Team) -> None:
    refused = await team.dev.call(
        "POST", "/deployments?environment=production", team.world.manifest(), status=422
    )

    (finding,) = refused.json()["findings"]
    assert finding == {
        "path": "#/metadata/project",
        "reason": "NotAllowedHere",
        "message": "You may deploy to `sandbox` and `staging` of `care`, not to `production`.",
        "fix": "An admin of the team (Ada, Olaf) can, or may approve it: "
        "`towpath promote triage --to production --request`.",
    }
    dry = await team.dev.call(
        "POST", "/deployments?environment=production&dry_run=true", team.world.manifest()
    )
    assert dry.json()["findings"] == [finding]
    allowed = await team.admin.call(
        "POST", "/deployments?environment=production", team.world.manifest()
    )
    assert allowed.status_code == 201


async def test_who_may_approve_goes_on_alone_only_with_a_reason_that_stays(team: Team) -> None:
    await team.serve("staging")

    refused = await promote(team.admin, "production", status=422)
    dev = await promote(team.dev, "production", status=422, reason="I am in a hurry")
    made = (await promote(team.admin, "production", status=201, reason="the night is short")).json()

    assert "--force-reason" in findings(refused)["ApprovalNeeded"]["fix"]
    assert "--force-reason" not in findings(dev)["ApprovalNeeded"]["fix"]
    assert made["origin"]["reason"] == "the night is short"
    events = await team.world.api.get("/audit?noun=deployment&limit=1")
    assert events["items"][0]["changes"]["origin"]["reason"] == "the night is short"


async def test_another_person_s_approval_carries_a_promotion_out_once(team: Team) -> None:
    source = await team.serve("staging")
    request = await team.ask()
    path = f"/approvals/{request['id']}"

    done = await team.admin.call("POST", f"{path}/approve", {"comment": "well done"}, status=200)
    again = await team.other.call("POST", f"{path}/approve", {}, status=409)

    assert (request["state"], request["digest"]) == ("pending", source["model"]["digest"])
    assert done.json()["state"] == "approved"
    assert again.json()["code"] == "approval_closed"
    made = await team.world.api.get("/deployments/triage?environment=production")
    assert done.json()["result"] == {
        "deployment": made["id"],
        "environment": "production",
        "revision": 1,
    }
    assert made["model"] == source["model"]
    assert made["origin"]["by"] == "dora@example.org"
    assert made["origin"]["approved_by"] == ["ada@example.org"]
    assert made["origin"]["approval"] == request["id"]
    log = await team.world.api.get(f"/audit?noun=approval&id={request['id']}")
    assert [event["action"] for event in log["items"] if event["outcome"] == "done"] == [
        "approval.carried_out",
        "approval.approved",
        "approval.requested",
    ]


async def test_nobody_approves_their_own_request_nor_without_being_an_admin(team: Team) -> None:
    await team.serve("staging")
    payload = {"deployment": "triage", "to": "production"}
    request = await team.admin.create("/approvals", kind="promotion", payload=payload)
    path = f"/approvals/{request['id']}/approve"

    own = await team.admin.call("POST", path, {}, status=403)
    developer = await team.dev.call("POST", path, {}, status=403)

    assert own.json()["code"] == "own_request"
    assert developer.json()["code"] == "permission_denied"
    assert (await team.platform.call("POST", path, {}, status=200)).json()["state"] == "approved"


@pytest.mark.parametrize("change", ["source", "target", "deleted"])
async def test_what_changes_after_the_request_makes_it_void(team: Team, change: str) -> None:
    source = await team.serve("staging")
    request = await team.ask()
    if change == "source":
        await team.world.version("weights of a second version")
        await team.serve("staging", model={"uri": "models:/triage/2"})
    elif change == "target":
        await team.admin.call(
            "POST", "/deployments?environment=production", team.world.manifest(), status=201
        )
    else:
        await team.admin.call("DELETE", f"/deployments/{source['id']}", status=204)

    closed = await team.world.api.get(f"/approvals/{request['id']}")
    refused = await team.admin.call("POST", f"/approvals/{request['id']}/approve", {}, status=409)

    assert closed["state"] == "void"
    assert closed["note"]
    assert refused.json()["code"] == "approval_closed"


async def test_a_rejected_or_late_request_is_closed(team: Team) -> None:
    await team.serve("staging")
    first = await team.ask()
    rejected = await team.admin.call(
        "POST", f"/approvals/{first['id']}/reject", {"comment": "too early"}, status=200
    )
    second = await team.ask()
    third = await team.ask()
    replaced = await team.world.api.get(f"/approvals/{second['id']}")
    team.world.clock.advance(seconds=7 * 86_400)

    late = await team.admin.call("POST", f"/approvals/{third['id']}/approve", {}, status=409)

    assert rejected.json()["state"] == "rejected"
    assert (replaced["state"], replaced["note"]) == ("void", "there is a newer request")
    assert "is expired" in late.json()["detail"]
    for state, found in (("expired", third), ("rejected", first), ("pending", None)):
        listed = await team.dev.get(f"/approvals?state={state}&kind=promotion")
        assert [one["id"] for one in listed["items"]] == ([found["id"]] if found else [])


async def test_a_request_is_checked_like_the_promotion_itself(team: Team) -> None:
    await team.serve("staging")

    refused = await team.dev.call(
        "POST",
        "/approvals",
        {
            "kind": "promotion",
            "payload": {
                "deployment": "triage",
                "to": "production",
                "overrides": {"skaling": {}, "runtime": {"args": ["--threads=0"]}},
            },
        },
        status=422,
    )
    unknown = await team.dev.call(
        "POST", "/approvals", {"kind": "promotoin", "payload": {}}, status=422
    )
    wrong = await team.dev.call(
        "POST", "/approvals", {"kind": "promotion", "payload": {"too": "x"}}, status=422
    )

    assert set(findings(refused)) == {"UnknownField", "OutOfRange"}
    assert unknown.json()["findings"][0]["fix"] == "Did you mean `promotion`?"
    assert {one["path"] for one in wrong.json()["findings"]} == {
        "#/payload/deployment",
        "#/payload/to",
        "#/payload/too",
    }


async def test_overrides_of_a_promotion_hold_there_and_stay_in_its_manifest(team: Team) -> None:
    await team.serve("sandbox", overrides={"staging": {"scaling": {"maxConcurrency": 2}}})

    checked = await promote(
        team.dev,
        "staging",
        status=200,
        query="?dry_run=true",
        overrides={"scaling": {"minReplicas": 2}},
    )
    made = await promote(team.dev, "staging", status=201, overrides={"scaling": {"minReplicas": 2}})

    assert checked.json()["replicas_wanted"] == made.json()["replicas_wanted"] == 2
    assert made.json()["manifest"]["spec"]["overrides"] == {
        "staging": {"scaling": {"maxConcurrency": 2, "minReplicas": 2}}
    }
    target = await team.world.target(made.json()["id"])
    assert target is not None
    assert target.handling.max_concurrency == 2


async def test_one_loaded_model_serves_other_environments_and_is_promoted_as_such(
    team: Team,
) -> None:
    """`access.callers` opens production's endpoint to the sandbox; never the other way."""
    await team.serve("staging", overrides={"production": {"access": {"callers": ["sandbox"]}}})
    request = await team.ask()
    await team.admin.call("POST", f"/approvals/{request['id']}/approve", {}, status=200)

    endpoint = await team.dev.get("/endpoints/triage?environment=production")
    other = await team.dev.get("/endpoints/triage?environment=staging")
    refused = await team.dev.call(
        "POST",
        "/deployments?environment=staging",
        team.world.manifest(access={"callers": ["production"]}),
        status=422,
    )

    assert endpoint["access"]["callers"] == ["sandbox", "production"]
    assert other["access"]["callers"] == ["staging"]
    assert refused.json()["findings"][0]["path"] == "#/spec/access/callers"


async def test_the_same_content_again_goes_on_in_the_same_model_servers(team: Team) -> None:
    await team.serve("staging")
    made = (await promote(team.admin, "production", status=201, reason="it is late")).json()
    before = await team.ready("production", made["id"])

    again = (await promote(team.admin, "production", status=200, reason="it is late")).json()
    after = await team.ready("production", again["id"])

    assert (again["id"], after["serving_revision"]) == (made["id"], 2)
    assert [one["id"] for one in after["replicas"]] == [one["id"] for one in before["replicas"]]
