"""Logged bodies, from the link to whoever may read them, and until they go."""

import json
from pathlib import Path
from typing import Any

import pytest
from platform_api import Api

from towpath_server.adapters.facilities import Facilities
from towpath_server.core.clock import FixedClock
from towpath_server.core.config import Settings
from towpath_server.core.db import Database
from towpath_server.domains.bodies import service as bodies

FULL = {
    "mode": "full",
    "redact": [{"name": "card", "pattern": r"\d{16}"}],
    "retention_days": 3,
}


def message(project: str, request: str = "req_1", text: str = "the-question", **more: Any) -> Any:
    """Return a message of the link."""
    body = {"content_type": "application/json", "text": text, "bytes": 900, "truncated": True}
    one = {
        "request_id": request,
        "time_ms": 1_795_435_200_000,
        "project": project,
        "request": body,
        "status": 200,
        "response": {"text": "the-answer", "bytes": 10},
    }
    return {"gateway_id": "gw_1", "lost": 0, "bodies": [one], **more}


@pytest.fixture
async def project(api: Api) -> str:
    """A project that logs bodies."""
    await api.create("/teams", name="care")
    made = await api.create("/projects", team="care", name="triage")
    await api.call("PATCH", f"/projects/{made['id']}", {"body_log": FULL}, status=200)
    return made["id"]


async def person(api: Api, role: str, team: str = "care") -> Api:
    user = await api.create("/users", name=role, email=f"{role}-{team}@example.org")
    await api.create("/members", team=team, user=user["id"], role=role)
    token = await api.create(f"/users/{user['id']}/tokens", name="laptop")
    return api.as_(token["token"])


def files_in(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


async def send(link, message: Any, status: int = 204) -> None:
    answer = await link.post("/link/v1/bodies", json=message)
    assert answer.status_code == status, answer.text


async def test_a_projects_setting_is_shown_and_told_to_the_gateways(
    api: Api, project: str, connect
) -> None:
    gateway = connect()
    await gateway.poll()

    assert (await api.get(f"/projects/{project}"))["body_log"] == FULL
    assert gateway.of("project")[project]["body_log"] == {
        "mode": "full",
        "redact": FULL["redact"],
    }


async def test_a_project_begins_with_metadata(api: Api) -> None:
    await api.create("/teams", name="care")
    made = await api.create("/projects", team="care", name="triage")

    assert made["body_log"] == {"mode": "metadata", "redact": [], "retention_days": 7}


async def test_bodies_are_shown_to_developers_and_admins_of_their_team_alone(
    api: Api, project: str, link
) -> None:
    await send(link, message(project))
    await api.create("/teams", name="other")
    key = await api.create("/keys", project=project, environment="sandbox", name="k")
    statuses = {
        "platform": (await api.call("GET", "/requests/req_1/bodies")).status_code,
        "key": (await api.as_(key["key"]).call("GET", "/requests/req_1/bodies")).status_code,
    }
    for role, team in (
        ("admin", "care"),
        ("developer", "care"),
        ("viewer", "care"),
        ("admin", "other"),
    ):
        caller = await person(api, role, team)
        answer = await caller.call("GET", "/requests/req_1/bodies")
        statuses[f"{role} of {team}"] = answer.status_code
    absent = await api.call("GET", "/requests/req_2/bodies", status=404)

    assert statuses == {
        "platform": 200,
        "key": 404,
        "admin of care": 200,
        "developer of care": 200,
        "viewer of care": 404,
        "admin of other": 404,
    }
    assert "body_log" in absent.json()["fix"]
    assert await api.get("/requests/req_1/bodies") == {
        "request_id": "req_1",
        "time": "2026-11-23T12:00:00Z",
        "project": project,
        "status": 200,
        "request": {
            "content_type": "application/json",
            "text": "the-question",
            "bytes": 900,
            "truncated": True,
        },
        "response": {"content_type": None, "text": "the-answer", "bytes": 10, "truncated": False},
    }


async def test_what_lies_on_disk_is_sealed(
    project: str, link, settings: Settings, tmp_path: Path
) -> None:
    await send(link, message(project, text="canary-text"))

    assert len(files_in(settings.data / "bodies")) == 1
    assert not any(b"canary-text" in file.read_bytes() for file in files_in(tmp_path))


async def test_a_message_that_comes_twice_is_stored_once(api: Api, project: str, link) -> None:
    await send(link, message(project, text="first"))
    await send(link, message(project, text="second"))

    assert (await api.get("/requests/req_1/bodies"))["request"]["text"] == "first"


async def test_nothing_is_kept_once_it_is_switched_off(api: Api, project: str, link) -> None:
    await api.call("PATCH", f"/projects/{project}", {"body_log": {"mode": "metadata"}}, status=200)
    await send(link, message(project))
    await send(link, message("prj_gone"))

    await api.call("GET", "/requests/req_1/bodies", status=404)


async def test_bodies_go_when_their_days_are_over_and_at_once_when_they_become_fewer(
    api: Api, project: str, link, db: Database, clock: FixedClock, settings: Settings
) -> None:
    blobs = Facilities.of(settings).bodies
    await send(link, message(project, "req_1"))
    clock.advance(seconds=2 * 86_400)
    kept = await bodies.sweep(db, blobs)
    fewer = {"body_log": {**FULL, "retention_days": 1}}
    await api.call("PATCH", f"/projects/{project}", fewer, status=200)
    gone = await bodies.sweep(db, blobs, grace_s=-1)

    assert (kept, gone) == (0, 1)
    await api.call("GET", "/requests/req_1/bodies", status=404)
    assert files_in(settings.data / "bodies") == []


async def test_what_a_gateway_lost_is_said_and_what_is_no_message_refused(link, logged) -> None:
    await send(link, {"gateway_id": "gw_1", "lost": 3, "bodies": []})
    await send(link, {"gateway_id": "gw_1", "bodies": [{}]}, status=422)

    assert "bodies.lost" in logged.getvalue()


async def test_a_setting_out_of_bounds_is_refused(api: Api, project: str) -> None:
    for wrong in (
        {"mode": "some"},
        {"retention_days": 0},
        {"retention_days": 366},
        {"redact": [{"name": "a b", "pattern": "x"}]},
        {"redact": [{"name": "a", "pattern": "x" * 513}]},
        {"redact": [{"name": "a", "pattern": "x"}] * 33},
    ):
        await api.call("PATCH", f"/projects/{project}", {"body_log": wrong}, status=422)


async def test_a_change_of_the_setting_is_audited(api: Api, project: str) -> None:
    [event, *_] = (await api.get("/audit?noun=project"))["items"]

    assert event["changes"]["body_log"]["mode"] == "full"
    assert "card" in json.dumps(event["changes"])
