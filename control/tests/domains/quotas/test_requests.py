"""Asking for capacity: those who run the platform decide, and it is given at once."""

from typing import Any

import pytest
from people import person
from platform_api import Api


@pytest.fixture
async def dev(api: Api) -> Api:
    await api.create("/teams", name="care")
    return await person(api, "Dora", team="care", role="developer")


async def ask(who: Api, **payload: Any) -> Any:
    body = {"team": "care", "environment": "production", **payload}
    return await who.create("/approvals", kind="quota", payload=body, reason="more callers")


async def test_what_the_platform_agrees_to_is_given(api: Api, dev: Api) -> None:
    first = await ask(dev, replicas=8, memory="64Gi")
    await api.call("POST", f"/approvals/{first['id']}/approve", {}, status=200)
    second = await ask(dev, replicas=9, gpus={"h100-80gb": 2})

    done = await api.call("POST", f"/approvals/{second['id']}/approve", {}, status=200)

    quota = await api.get("/quotas/care:production")
    assert first["summary"] == "let care reserve in production: 8 replicas, 64 GiB"
    assert done.json()["result"] == {"quota": quota["id"], "revision": 2}
    assert (quota["replicas"], quota["memory"], quota["gpus"]) == (9, "64Gi", {"h100-80gb": 2})


async def test_an_admin_of_the_team_does_not_decide(api: Api, dev: Api) -> None:
    admin = await person(api, "Ada", team="care", role="admin")
    request = await ask(dev, replicas=8)

    refused = await admin.call("POST", f"/approvals/{request['id']}/approve", {}, status=403)

    assert "those who run the platform" in refused.json()["detail"]


async def test_a_quota_that_changed_since_is_asked_for_anew(api: Api, dev: Api) -> None:
    request = await ask(dev, replicas=8)
    await api.create("/quotas", team="care", environment="production", replicas=2)

    refused = await api.call("POST", f"/approvals/{request['id']}/approve", {}, status=409)

    assert refused.json()["code"] == "approval_closed"
    assert (await api.get("/quotas/care:production"))["replicas"] == 2


async def test_what_is_no_quota_is_refused(dev: Api) -> None:
    for payload in ({}, {"team": "care", "environment": "production"}, {"cpus": 1}):
        refused = await dev.call(
            "POST", "/approvals", {"kind": "quota", "payload": payload}, status=422
        )
        assert refused.json()["findings"][0]["path"].startswith("#/payload")
