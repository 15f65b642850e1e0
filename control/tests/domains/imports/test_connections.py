"""Who sets connections, which one serves an address, and where a credential may go."""

from typing import Any

import pytest
from imports import ImportWorld

from towpath_server.core.db import Database
from towpath_server.domains.connections import service as connections
from towpath_server.domains.connections.models import covers


async def serving(db: Database, team_id: str, uri: str) -> str | None:
    async with db.read() as tx:
        found = await connections.serving(tx, uri, team_id=team_id)
    return found[0].name if found else None


@pytest.mark.parametrize(
    ("location", "uri", "fits"),
    [
        ("hf://", "hf://acme/triage:main", True),
        ("hf://acme/", "hf://acme/triage/weights/q4.gguf:main", True),
        ("hf://acme/triage/", "hf://acme/triage:refs/pr/1", True),
        ("hf://acm/", "hf://acme/triage:main", False),
        ("s3://bucket/a/", "s3://bucket/ab", False),
        ("s3://bucket/a/", "s3://bucket/a/b", True),
        ("s3://bucket/a/", "s3://bucket/a", True),
        ("s3://bucket/", "s3://bucket2/a", False),
        ("oci://ghcr.io/acme/", "oci://ghcr.io/acme/triage:latest", True),
        ("oci://ghcr.io:5000/acme/triage/", "oci://ghcr.io:5000/acme/triage@sha256:00", True),
        ("oci://ghcr.io/", "oci://ghcr.io:5000/acme/triage:1", False),
        ("https://files.example.com/models/", "https://files.example.com/models/a#sha256=0", True),
        ("https://files.example.com/", "hf://files.example.com/a:main", False),
    ],
)
def test_a_location_covers_what_lies_below_it_by_whole_parts(
    location: str, uri: str, *, fits: bool
) -> None:
    assert covers(location, uri) is fits


async def test_the_longest_location_serves_and_on_a_tie_the_teams_own(world: ImportWorld) -> None:
    team = (await world.admin.get("/teams/care"))["id"]
    other = (await world.admin.get("/teams/sales"))["id"]
    for name, owner, location in (
        ("everybody", None, "s3://models/"),
        ("deeper", None, "s3://models/care/"),
        ("own", "care", "s3://models/"),
        ("foreign", "sales", "s3://models/care/deep/"),
    ):
        more: dict[str, Any] = {"team": owner} if owner else {}
        await world.admin.create("/connections", name=name, location=location, **more)

    assert await serving(world.db, team, "s3://models/care/deep/model") == "deeper"
    assert await serving(world.db, team, "s3://models/sales") == "own"
    assert await serving(world.db, other, "s3://models/sales") == "everybody"
    assert await serving(world.db, team, "s3://elsewhere/a") is None


async def test_a_team_sets_its_own_and_only_the_platform_everybodys(world: ImportWorld) -> None:
    admin = await world.person("care", "admin")
    body = {"name": "hub", "location": "hf://acme/"}

    everybodys = await admin.call("POST", "/connections", body, status=403)
    mine = await admin.call("POST", "/connections", {**body, "team": "care"}, status=201)
    await world.api.call("POST", "/connections", {**body, "team": "care"}, status=403)
    shared = await world.admin.create("/connections", name="shared", location="hf://")
    taken = await admin.call("DELETE", f"/connections/{shared['id']}", status=403)
    seen = await (await world.person("sales")).get("/connections")

    assert "platform role" in everybodys.json()["detail"]
    assert mine.json()["team"] == "care"
    assert "organisation" in taken.json()["detail"]
    assert [one["name"] for one in seen["items"]] == ["shared"]


@pytest.mark.parametrize("change", [{"endpoint": "https://evil.example"}, {"location": "hf://"}])
async def test_a_credential_goes_nowhere_else_unless_it_is_sent_again(
    world: ImportWorld, change: dict[str, str]
) -> None:
    made = await world.admin.create(
        "/connections", name="hub", location="hf://acme/", credential="a-token"
    )

    refused = await world.admin.call("PATCH", f"/connections/{made['id']}", change, status=422)
    moved = await world.admin.call(
        "PATCH", f"/connections/{made['id']}", {**change, "credential": "b-token"}, status=200
    )

    assert refused.json()["findings"][0]["path"] == "#/credential"
    assert moved.json()["has_credential"]


@pytest.mark.parametrize(
    "location",
    ["ftp://host/", "s3://", "hf://acme/triage:main", "https://user@host/", "oci://h/a@sha256:0"],
)
async def test_a_location_is_an_address_without_a_version(
    world: ImportWorld, location: str
) -> None:
    body = {"name": "hub", "location": location}

    refused = await world.admin.call("POST", "/connections", body, status=422)

    assert refused.json()["findings"][0]["path"] == "#/location"


async def test_a_teams_connections_go_with_it(world: ImportWorld) -> None:
    await world.admin.create("/teams", name="short-lived")
    await world.admin.create("/connections", name="hub", location="hf://acme/", team="short-lived")
    team = await world.admin.get("/teams/short-lived")

    await world.admin.call("DELETE", f"/teams/{team['id']}", status=204)

    await world.admin.get("/connections/hub", status=404)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("s3.example.com", 422),
        ("8.8.8.8:9000", 422),
        ("localhost.example.com", 422),
        ("127.0.0.1:9000", 201),
        ("[::1]:9000", 201),
        ("10.1.2.3", 201),
        ("minio", 201),
        ("s3.internal", 201),
    ],
)
async def test_a_credential_is_not_sent_in_clear_but_nearby(
    world: ImportWorld, host: str, status: int
) -> None:
    body = {"name": "far", "location": "s3://models/", "endpoint": f"http://{host}"}

    answer = await world.admin.call(
        "POST", "/connections", {**body, "credential": "a-secret-key"}, status=status
    )

    if status == 422:
        (finding,) = answer.json()["findings"]
        assert (finding["path"], finding["reason"]) == ("#/endpoint", "SentInClear")
        await world.admin.create("/connections", **body)


async def test_a_credential_does_not_come_to_plain_http_later(world: ImportWorld) -> None:
    far = await world.admin.create(
        "/connections", name="far", location="s3://models/", endpoint="http://s3.example.com"
    )
    path = f"/connections/{far['id']}"

    await world.admin.call("PATCH", path, {"credential": "a-secret-key"}, status=422)
    changes = {"credential": "a-secret-key", "endpoint": "https://s3.example.com"}
    await world.admin.call("PATCH", path, changes, status=200)
    back = {"credential": "a-secret-key", "endpoint": "http://s3.example.com"}
    await world.admin.call("PATCH", path, back, status=422)
