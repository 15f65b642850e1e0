"""Keys and service accounts, through the API and at the database."""

import json
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
from inline_snapshot import snapshot
from platform_api import Api

from towpath_server.core import revision, tokens
from towpath_server.core.clock import FixedClock, to_ms
from towpath_server.core.db import Database
from towpath_server.domains.keys import service as keys
from towpath_server.domains.keys.schemas import Operation

CONTRACT = Path(__file__).parents[3] / "contracts" / "routing.schema.json"


@pytest.fixture(autouse=True)
async def project(api: Api) -> str:
    await api.create("/teams", name="care")
    return (await api.create("/projects", team="care", name="triage"))["id"]


async def make(api: Api, **more) -> dict:
    body = {"project": "care/triage", "environment": "sandbox", "name": "laptop", **more}
    return await api.create("/keys", **body)


async def routed(db: Database) -> dict:
    async with db.read() as tx:
        return {key.id: key for key in await keys.routed(tx)}


def test_a_key_can_be_narrowed_to_every_operation_that_the_gateway_knows() -> None:
    known = json.loads(CONTRACT.read_text(encoding="utf-8"))["$defs"]["Operation"]["enum"]

    assert sorted(get_args(Operation)) == sorted(known)


async def test_a_key_says_its_environment_and_is_shown_once(api: Api, db: Database) -> None:
    made = await make(api, environment="production")

    assert tokens.well_formed(made["key"])
    assert made["key"].startswith("tp_production_")
    assert made["hint"] == made["key"].split("_")[2][:4]
    assert "key" not in await api.get(f"/keys/{made['id']}")
    assert (await routed(db))[made["id"]].hash == tokens.digest(made["key"])


async def test_a_key_sees_its_own_project_and_no_more(api: Api, project: str) -> None:
    await api.create("/teams", name="other")
    await api.create("/projects", team="other", name="secret")
    caller = api.as_((await make(api))["key"])

    assert [p["id"] for p in (await caller.get("/projects"))["items"]] == [project]
    await caller.call("GET", "/projects/other/secret", status=404)
    await caller.call("GET", "/keys", status=403)
    await caller.call("POST", "/keys", {"project": "care/triage"}, status=422)


async def test_a_revoked_key_stops_at_once_and_keeps_its_name(api: Api, db: Database) -> None:
    made = await make(api)

    await api.call("DELETE", f"/keys/{made['id']}", status=204)

    await api.as_(made["key"]).call("GET", "/projects", status=401)
    await api.call("GET", f"/keys/{made['id']}", status=404)
    assert await routed(db) == {}
    async with db.read() as tx:
        lane = await revision.revocations(tx, 0, 10)
        assert await keys.names(tx, [made["id"]]) == {made["id"]: "laptop"}
    assert [(entry.key_id, entry.hash) for entry in lane] == [
        (made["id"], tokens.digest(made["key"]))
    ]


async def test_an_expired_key_is_no_key(api: Api, clock: FixedClock) -> None:
    expires = (clock.now() + timedelta(hours=1)).isoformat()
    made = await make(api, expires_at=expires)
    caller = api.as_(made["key"])
    await caller.get("/projects")

    clock.advance(seconds=3_600)

    await caller.call("GET", "/projects", status=401)


async def test_a_key_does_not_expire_in_the_past(api: Api) -> None:
    body = {"project": "care/triage", "environment": "sandbox", "name": "late"}
    refused = await api.call(
        "POST", "/keys", body | {"expires_at": "2020-01-01T00:00:00Z"}, status=422
    )

    assert refused.json()["findings"] == snapshot(
        [{"reason": "Invalid", "message": "This time is in the past.", "path": "#/expires_at"}]
    )


async def test_after_a_rotation_both_keys_work_for_the_grace_period(
    api: Api, clock: FixedClock, db: Database
) -> None:
    old = await make(api, operations=["chat"], endpoints=["smollm2"])

    new = (await api.call("POST", f"/keys/{old['id']}/rotate", {"grace": "15m"})).json()

    assert new["rotated_from"] == old["id"]
    assert (new["operations"], new["endpoints"]) == (["chat"], ["smollm2"])
    await api.as_(old["key"]).get("/projects")
    await api.as_(new["key"]).get("/projects")
    assert (await routed(db))[old["id"]].expires_at_ms == to_ms(clock.now()) + 900_000
    clock.advance(seconds=900)
    await api.as_(old["key"]).call("GET", "/projects", status=401)
    await api.as_(new["key"]).get("/projects")


async def test_a_rotation_without_grace_revokes(api: Api, db: Database) -> None:
    old = await make(api)

    await api.call("POST", f"/keys/{old['id']}/rotate", {"grace": "0s"}, status=201)

    await api.as_(old["key"]).call("GET", "/projects", status=401)
    async with db.read() as tx:
        assert await revision.revocations_to(tx) > 0


async def test_a_rotation_never_lengthens_a_key(api: Api, clock: FixedClock) -> None:
    expires = (clock.now() + timedelta(minutes=1)).isoformat()
    old = await make(api, expires_at=expires)

    await api.call("POST", f"/keys/{old['id']}/rotate", {"grace": "1d"}, status=201)
    clock.advance(seconds=60)

    await api.as_(old["key"]).call("GET", "/projects", status=401)


async def test_a_key_works_from_its_networks_alone(api: Api) -> None:
    near = await make(api, sources=["127.0.0.0/8"])
    far = await make(api, sources=["10.0.0.0/8", "2001:db8::/32"])

    await api.as_(near["key"]).get("/projects")
    await api.as_(far["key"]).call("GET", "/projects", status=401)


async def test_use_is_noted_and_never_goes_back(api: Api, db: Database) -> None:
    made = await make(api)
    async with db.write() as tx:
        await keys.touch(tx, {made["id"]: 2_000, "key_unknown": 1})
        await keys.touch(tx, {made["id"]: 1_000})
        await keys.touch(tx, {})

    assert (await api.get(f"/keys/{made['id']}"))["last_used_at"] == "1970-01-01T00:00:02Z"


async def test_an_application_must_be_of_the_same_project(api: Api) -> None:
    await api.create("/projects", team="care", name="other")
    mine = await api.create("/applications", project="care/triage", name="first-steps")
    foreign = await api.create("/applications", project="care/other", name="elsewhere")

    by_name = await make(api, application="first-steps")
    refused = await api.call(
        "POST",
        "/keys",
        {
            "project": "care/triage",
            "environment": "sandbox",
            "name": "x",
            "application": foreign["id"],
        },
    )

    assert by_name["application"] == mine["id"]
    assert refused.status_code == 404
    in_use = await api.call("DELETE", f"/applications/{mine['id']}", status=409)
    assert in_use.json()["detail"] == snapshot(
        "The application `first-steps` is still used by `key laptop`."
    )


async def test_a_project_with_keys_is_not_deleted(api: Api) -> None:
    made = await make(api)
    await api.call("DELETE", "/projects/care/triage", status=409)

    await api.call("DELETE", f"/keys/{made['id']}", status=204)

    await api.call("DELETE", "/projects/care/triage", status=204)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("environment", "prod"),
        ("endpoints", ["Not A Name"]),
        ("endpoints", []),
        ("endpoints", ["twice", "twice"]),
        ("operations", ["fly"]),
        ("sources", ["10.0.0.1/8"]),
        ("sources", ["everywhere"]),
        ("max_data_class", "top-secret"),
        ("scopes", ["deploy"]),
        ("expires_at", "2030-01-01T00:00:00"),
        ("name", "with\x00nul"),
        ("name", ""),
    ],
)
async def test_a_wrong_field_is_named(api: Api, field: str, value) -> None:
    body = {"project": "care/triage", "environment": "sandbox", "name": "x", field: value}
    refused = await api.call("POST", "/keys", body, status=422)

    assert refused.json()["findings"][0]["path"].startswith(f"#/{field}")


async def test_null_takes_a_restriction_away_and_absence_leaves_it(api: Api) -> None:
    made = await make(api, operations=["chat"], endpoints=["smollm2"])

    changed = (await api.call("PATCH", f"/keys/{made['id']}", {"operations": None})).json()

    assert (changed["operations"], changed["endpoints"]) == (None, ["smollm2"])
    assert changed["revision"] == made["revision"] + 1


async def test_a_change_that_changes_nothing_is_no_revision(api: Api, db: Database) -> None:
    made = await make(api, operations=["chat"])
    async with db.read() as tx:
        before = await revision.current(tx)

    same = (await api.call("PATCH", f"/keys/{made['id']}", {"operations": ["chat"]})).json()

    assert same["revision"] == made["revision"]
    async with db.read() as tx:
        assert await revision.current(tx) == before


async def test_a_service_account_acts_within_its_project(api: Api, db: Database) -> None:
    made = await api.create(
        "/service-accounts", project="care/triage", name="ci", scopes=["deploy", "read"]
    )
    caller = api.as_(made["token"])

    assert made["token"].startswith("tp_service_")
    assert (await routed(db))[made["id"]].scopes == ("deploy", "read")
    await caller.get("/projects/care/triage")
    await caller.call("POST", "/applications", {"project": "care/triage", "name": "x"}, status=403)
    await api.call("DELETE", f"/service-accounts/{made['id']}", status=204)
    await caller.call("GET", "/projects", status=401)


async def test_a_name_of_a_service_account_is_free_again_after_deletion(api: Api) -> None:
    body = {"project": "care/triage", "name": "ci", "scopes": ["read"]}
    made = await api.create("/service-accounts", **body)
    await api.call("POST", "/service-accounts", body, status=409)

    await api.call("DELETE", f"/service-accounts/{made['id']}", status=204)

    await api.create("/service-accounts", **body)


async def test_routed_pages_in_order_of_id(api: Api, db: Database) -> None:
    made = sorted([(await make(api, name=f"k{n}"))["id"] for n in range(5)])
    async with db.read() as tx:
        first = await keys.routed(tx, limit=2)
        rest = await keys.routed(tx, after=first[-1].id)
        chosen = await keys.routed(tx, ids=[made[3], "key_gone"])

    assert [key.id for key in [*first, *rest]] == made
    assert [key.id for key in chosen] == [made[3]]
