"""Users, tokens and members, through the API."""

from datetime import timedelta

import pytest
from platform_api import ADMIN_KEY, Api

from towpath_server.core.clock import FixedClock
from towpath_server.core.db import Database
from towpath_server.core.secret import Secret
from towpath_server.domains.users import service as users


@pytest.fixture
async def ada(api: Api) -> dict:
    return await api.create("/users", name="Ada", email="Ada@Example.org")


async def token_of(api: Api, user: dict, **more) -> dict:
    return await api.create(f"/users/{user['id']}/tokens", name="laptop", **more)


async def test_a_user_is_found_by_address_in_any_case(api: Api, ada: dict) -> None:
    assert ada["email"] == "ada@example.org"
    assert await api.get("/users/ADA@example.org") == ada
    await api.call("POST", "/users", {"name": "B", "email": "ada@EXAMPLE.org"}, status=409)


async def test_a_user_sees_and_serves_nobody_but_themselves(api: Api, ada: dict) -> None:
    bob = await api.create("/users", name="Bob")
    caller = api.as_((await token_of(api, ada))["token"])

    own = await caller.create(f"/users/{ada['id']}/tokens", name="second")

    assert [user["id"] for user in (await caller.get("/users"))["items"]] == [ada["id"]]
    assert "token" not in await caller.get(f"/users/{ada['id']}/tokens/{own['id']}")
    await caller.call("GET", f"/users/{bob['id']}", status=404)
    await caller.call("POST", f"/users/{bob['id']}/tokens", {"name": "x"}, status=404)
    await caller.call("PATCH", f"/users/{ada['id']}", {"platform_role": "platform"}, status=403)


async def test_a_token_ends_when_revoked_expired_or_its_user_goes(
    api: Api, ada: dict, clock: FixedClock
) -> None:
    revoked = await token_of(api, ada)
    expires = (clock.now() + timedelta(hours=1)).isoformat()
    expiring = await token_of(api, ada, expires_at=expires)
    lasting = await token_of(api, ada)
    path = f"/users/{ada['id']}/tokens/{revoked['id']}"

    await api.call("DELETE", path, status=204)
    await api.as_(revoked["token"]).call("GET", "/teams", status=401)
    await api.as_(expiring["token"]).get("/teams")
    clock.advance(seconds=3_600)
    await api.as_(expiring["token"]).call("GET", "/teams", status=401)
    await api.as_(lasting["token"]).get("/teams")
    await api.call("DELETE", f"/users/{ada['id']}", status=204)
    await api.as_(lasting["token"]).call("GET", "/teams", status=401)


async def test_a_role_counts_from_the_next_request_on(api: Api, ada: dict) -> None:
    await api.create("/teams", name="care")
    caller = api.as_((await token_of(api, ada))["token"])
    body = {"team": "care", "name": "triage"}
    await caller.call("POST", "/projects", body, status=404)

    member = await api.create("/members", team="care", user=ada["id"], role="viewer")
    await caller.call("POST", "/projects", body, status=403)
    await api.call("PATCH", f"/members/{member['id']}", {"role": "developer"}, status=200)
    await caller.call("POST", "/projects", body, status=201)
    await api.call("DELETE", f"/members/{member['id']}", status=204)
    await caller.call("GET", "/projects/care/triage", status=404)


async def test_a_user_is_a_member_once(api: Api, ada: dict) -> None:
    await api.create("/teams", name="care")
    body = {"team": "care", "user": ada["id"], "role": "viewer"}
    await api.create("/members", **body)

    await api.call("POST", "/members", body, status=409)


async def test_a_field_that_must_not_be_null_says_so(api: Api, ada: dict) -> None:
    await api.call("PATCH", f"/users/{ada['id']}", {"name": None}, status=422)
    cleared = (await api.call("PATCH", f"/users/{ada['id']}", {"email": None})).json()

    assert (cleared["name"], cleared["email"]) == ("Ada", None)


async def test_the_admin_key_is_made_once_and_can_be_replaced(db: Database) -> None:
    async with db.write() as tx:
        first = await users.ensure_admin_key(tx, None)
        again = await users.ensure_admin_key(tx, None)
        given = await users.ensure_admin_key(tx, Secret(ADMIN_KEY))

    assert first is not None
    assert (again, given) == (None, None)
    async with db.read() as tx:
        assert await users.authenticate_admin(tx, first.reveal()) is None
        assert await users.authenticate_admin(tx, ADMIN_KEY) is not None
