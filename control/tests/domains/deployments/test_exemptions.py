"""Exemptions from policies: who asks, who agrees, what passes then, and when it ends."""

from typing import Any

import pytest
from inline_snapshot import snapshot
from people import person
from platform_api import Api
from policy_examples import document
from worlds import World

RULE = {
    "expression": "resources.replicas < 2",
    "message": "It has more than one replica",
    "fix": "One is enough.",
    "path": "#/spec/scaling/maxReplicas",
}
WANTED = {
    "policy": "few",
    "project": "care/triage",
    "name": "triage",
    "environment": "sandbox",
    "until": "2026-12-24T00:00:00Z",
}


@pytest.fixture
async def dev(world: World) -> Api:
    await world.api.create("/policies", **document("few", None, mode="enforce", validations=[RULE]))
    return await person(world.api, "Dora", team="care", role="developer")


async def ask(
    who: Api, *, status: int = 201, reason: str | None = "a load test", **more: Any
) -> Any:
    body = {"kind": "policy", "payload": {**WANTED, **more}, "reason": reason}
    return (await who.call("POST", "/approvals", body, status=status)).json()


async def agreed(world: World, dev: Api, **more: Any) -> Any:
    request = await ask(dev, **more)
    answer = await world.api.call("POST", f"/approvals/{request['id']}/approve", {}, status=200)
    return answer.json()


async def deploy(world: World, who: Api, *, status: int) -> Any:
    manifest = world.manifest(scaling={"maxReplicas": 2})
    path = "/deployments?environment=sandbox&dry_run=true"
    return (await who.call("POST", path, manifest, status=status)).json()


async def test_a_refusal_says_how_to_ask_for_an_exemption(world: World, dev: Api) -> None:
    refused = await deploy(world, dev, status=422)

    assert refused["findings"][0]["fix"] == snapshot(
        "One is enough; or ask to be exempt: `towpath policies request few triage --project care/triage --environment sandbox --until DATE --reason TEXT`."
    )


async def test_what_was_agreed_to_passes_with_a_warning_and_the_audit_log_has_it(
    world: World, dev: Api
) -> None:
    given = await agreed(world, dev)

    manifest = world.manifest(scaling={"maxReplicas": 2})
    made = await dev.create("/deployments?environment=sandbox", **manifest)

    (warning,) = made["warnings"]
    (event,) = (await world.api.get("/audit?noun=deployment"))["items"]
    assert given["summary"] == snapshot(
        "exempt care/triage's triage in sandbox from the policy few until 2026-12-24T00:00:00Z"
    )
    assert given["result"] == {"policy": "few", "until": "2026-12-24T00:00:00Z"}
    assert warning["message"].replace(given["id"], "apr_…") == snapshot(
        "It has more than one replica (policy `few`). Exempt until 2026-12-24T00:00:00Z (apr_…)."
    )
    assert event["changes"]["policies"][0]["message"] == warning["message"]


@pytest.mark.parametrize(
    "other", [{"environment": "staging"}, {"name": "another"}, {"policy": "other"}]
)
async def test_it_holds_for_one_policy_and_one_deployment(
    world: World, dev: Api, other: dict[str, str]
) -> None:
    await world.api.create("/policies", **document("other", None, mode="warn", validations=[RULE]))
    await agreed(world, dev, **other)

    refused = await deploy(world, dev, status=422)

    assert [one["reason"] for one in refused["findings"]] == ["Few"]


async def test_it_ends_by_itself(world: World, dev: Api) -> None:
    await agreed(world, dev, until="2026-11-24T12:00:00Z")

    before = await deploy(world, dev, status=200)
    world.clock.advance(seconds=2 * 86_400)
    await deploy(world, dev, status=422)

    assert before["warnings"]


async def test_a_policy_of_the_same_name_that_is_set_anew_is_another(
    world: World, dev: Api
) -> None:
    await agreed(world, dev)
    await world.api.call("DELETE", "/policies/few", status=204)
    await world.api.create("/policies", **document("few", None, mode="enforce", validations=[RULE]))

    await deploy(world, dev, status=422)


async def test_only_those_who_run_the_platform_agree_and_never_to_their_own(
    world: World, dev: Api
) -> None:
    admin = await person(world.api, "Ada", team="care", role="admin")
    boss = await person(world.api, "Pia", role="platform")
    request = await ask(dev)
    own = await ask(boss)

    refused = await admin.call("POST", f"/approvals/{request['id']}/approve", {}, status=403)
    alone = await boss.call("POST", f"/approvals/{own['id']}/approve", {}, status=403)
    await deploy(world, dev, status=422)

    assert "those who run the platform" in refused.json()["detail"]
    assert alone.json()["code"] == "own_request"


async def test_a_policy_that_changed_since_is_asked_about_anew(world: World, dev: Api) -> None:
    request = await ask(dev)
    await world.api.call(
        "POST",
        "/policies",
        document("few", None, mode="enforce", validations=[{**RULE, "message": "Too many"}]),
        status=200,
    )

    refused = await world.api.call("POST", f"/approvals/{request['id']}/approve", {}, status=409)

    assert "the policy has changed since" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"until": "2026-01-01T00:00:00Z"}, "#/payload/until"),
        ({"until": "2029-01-01T00:00:00Z"}, "#/payload/until"),
        ({"until": "soon"}, "#/payload/until"),
        ({"environment": "moon"}, "#/payload/environment"),
        ({"how": "quickly"}, "#/payload/how"),
        ({"reason": None}, "#/reason"),
    ],
)
async def test_what_is_no_request_is_refused_with_its_place(
    dev: Api, more: dict[str, Any], path: str
) -> None:
    refused = await ask(dev, status=422, **more)

    assert [one["path"] for one in refused["findings"]] == [path]
    assert refused["findings"][0]["fix"]


async def test_an_unknown_policy_and_anothers_project_are_not_found(world: World, dev: Api) -> None:
    await world.api.create("/teams", name="sales")
    await world.api.create("/projects", team="sales", name="offers")

    unknown = await ask(dev, status=404, policy="fex")
    await ask(dev, status=404, project="sales/offers")

    assert unknown["fix"] == "Did you mean `few`?"
