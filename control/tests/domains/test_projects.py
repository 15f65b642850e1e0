"""Projects, applications and the audit log, through the API."""

import pytest
from platform_api import Api

from towpath_server.core.clock import FixedClock
from towpath_server.core.db import Database
from towpath_server.domains.projects import service as projects


@pytest.fixture(autouse=True)
async def team(api: Api) -> str:
    return (await api.create("/teams", name="care"))["id"]


async def test_a_project_is_found_by_id_and_by_path(api: Api) -> None:
    made = await api.create("/projects", team="care", name="triage")

    assert made["path"] == "care/triage"
    assert await api.get(f"/projects/{made['id']}") == made
    assert await api.get("/projects/care/triage") == made


async def test_a_project_by_its_bare_name_gets_a_hint(api: Api) -> None:
    await api.create("/projects", team="care", name="triage")

    refused = await api.call("GET", "/projects/triage", status=404)

    assert refused.json()["fix"] == "Write it as `team/project`."


async def test_a_project_follows_the_name_of_its_team(api: Api, db: Database) -> None:
    made = await api.create("/projects", team="care", name="triage")
    await api.call("PATCH", "/teams/care", {"name": "customer-care"}, status=200)

    assert (await api.get(f"/projects/{made['id']}"))["path"] == "customer-care/triage"
    async with db.read() as tx:
        assert await projects.names(tx, [made["id"]]) == {made["id"]: "customer-care/triage"}
        assert await projects.names(tx, []) == {}


async def test_two_teams_may_use_the_same_name(api: Api) -> None:
    await api.create("/teams", name="other")
    await api.create("/projects", team="care", name="triage")

    await api.create("/projects", team="other", name="triage")

    await api.call("POST", "/projects", {"team": "care", "name": "triage"}, status=409)
    listed = await api.get("/projects?team=other")
    assert [project["path"] for project in listed["items"]] == ["other/triage"]


@pytest.mark.parametrize("name", ["", "Upper", "with space", "a" * 64, "ünï", "a/b", "a_b"])
async def test_a_name_is_what_stands_in_urls(api: Api, name: str) -> None:
    refused = await api.call("POST", "/projects", {"team": "care", "name": name}, status=422)

    assert refused.json()["findings"][0]["path"] == "#/name"


async def test_an_application_is_described_and_changed(api: Api) -> None:
    await api.create("/projects", team="care", name="triage")
    made = await api.create(
        "/applications", project="care/triage", name="desk", owner="Ada", contact="#care"
    )

    changed = await api.call(
        "PATCH", f"/applications/{made['id']}", {"contact": None, "use_case": "sorting"}
    )

    assert changed.json() | {"revision": 1, "updated_at": made["updated_at"]} == {
        **made,
        "contact": None,
        "use_case": "sorting",
    }
    await api.call("DELETE", "/projects/care/triage", status=204)
    await api.call("GET", f"/applications/{made['id']}", status=404)


async def test_the_audit_log_is_newest_first_and_filtered(
    api: Api, team: str, clock: FixedClock
) -> None:
    clock.advance(seconds=10)
    since = clock.now().isoformat().replace("+00:00", "Z")
    project = await api.create("/projects", team="care", name="triage")
    await api.call("PATCH", "/projects/care/triage", {"name": "desk"}, status=200)

    every = (await api.get("/audit"))["items"]
    of_project = (await api.get(f"/audit?noun=project&id={project['id']}"))["items"]
    recent = (await api.get(f"/audit?since={since}"))["items"]
    first = await api.get("/audit?limit=1")
    second = await api.get(f"/audit?limit=1&after={first['next']}")

    assert [event["action"] for event in every[:3]] == [
        "project.updated",
        "project.created",
        "team.created",
    ]
    assert [event["action"] for event in of_project] == ["project.updated", "project.created"]
    assert len(recent) == 2
    assert first["items"] + second["items"] == every[:2]
    assert of_project[0]["changes"] == {"name": "desk"}
    assert {event["team"] for event in of_project} == {team}


async def test_an_admin_of_a_team_sees_its_events_alone(api: Api, team: str) -> None:
    await api.create("/teams", name="other")
    user = await api.create("/users", name="Ada")
    token = await api.create(f"/users/{user['id']}/tokens", name="laptop")
    await api.create("/members", team="care", user=user["id"], role="admin")

    seen = (await api.as_(token["token"]).get("/audit"))["items"]

    assert {event["team"] for event in seen} == {team}
