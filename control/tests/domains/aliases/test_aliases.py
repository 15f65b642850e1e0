"""Aliases: pointers to versions, with a log of who moved them, when and why."""

import hashlib
from typing import Any

import pytest
from artifacts import onnx
from platform_api import Api


@pytest.fixture(autouse=True)
async def _triage(api: Api) -> None:
    await api.create("/teams", name="care")
    await api.create("/projects", team="care", name="one")
    for weights in (onnx(name="first"), onnx(name="second")):
        await api.create(
            "/models/triage/versions",
            project="care/one",
            format="onnx",
            files=[await upload(api, weights)],
        )


async def upload(api: Api, content: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    await api.call("PUT", f"/blobs/{digest}", content=content, status=201)
    return {"path": "model.onnx", "digest": digest, "size": len(content)}


async def _point(api: Api, alias: str, version: int, reason: str, status: int = 200) -> Any:
    body = {"version": version, "reason": reason}
    return (await api.call("PUT", f"/models/triage/aliases/{alias}", body, status=status)).json()


async def test_every_move_is_in_the_log_with_who_when_from_to_and_why(api: Api) -> None:
    account = await api.create(
        "/service-accounts", project="care/one", name="robot", scopes=["read", "deploy"]
    )
    await _point(api, "champion", 1, "the first")
    moved = await _point(api.as_(account["token"]), "champion", 2, "0.86 on the suite")
    await api.call("DELETE", "/models/triage/aliases/champion?reason=retired", status=204)

    log = (await api.get("/models/triage/aliases/champion/history"))["items"]

    assert (moved["version"], moved["uri"]) == (2, "models:/triage@champion")
    assert [
        (one["from_version"], one["to_version"], one["reason"], one["by"]["name"]) for one in log
    ] == [
        (2, None, "retired", "admin key"),
        (1, 2, "0.86 on the suite", "robot"),
        (None, 1, "the first", "admin key"),
    ]
    assert all(one["at"].startswith("2026-11-23T12:00:00") for one in log)
    await api.get("/models/triage/aliases/champion", status=404)


async def test_pointing_at_the_same_version_again_is_no_move(api: Api) -> None:
    first = await _point(api, "champion", 1, "the first")

    again = await _point(api, "champion", 1, "once more")

    assert again == first
    assert len((await api.get("/models/triage/aliases/champion/history"))["items"]) == 1


async def test_the_log_is_paged(api: Api) -> None:
    for version in (1, 2, 1):
        await _point(api, "champion", version, f"to {version}")

    page = await api.get("/models/triage/aliases/champion/history?limit=2")
    rest = await api.get(f"/models/triage/aliases/champion/history?after={page['next']}")

    assert [one["to_version"] for one in page["items"] + rest["items"]] == [1, 2, 1]
    assert rest["next"] is None


async def test_an_alias_points_at_versions_that_are_there(api: Api) -> None:
    refused = await _point(api, "champion", 9, "too far", status=404)

    assert refused["fix"] == "The newest version is 2."
    assert (await api.get("/models/triage/aliases"))["items"] == []


async def test_a_mistyped_alias_names_the_right_one(api: Api) -> None:
    await _point(api, "champion", 1, "the first")

    answer = await api.get("/models/triage/aliases/champoin", status=404)

    assert answer["fix"] == "Did you mean `champion`?"


@pytest.mark.parametrize("name", ["Champion", "3", "a_b", "a" * 64])
async def test_a_name_that_could_be_a_number_or_an_id_is_refused(api: Api, name: str) -> None:
    await _point(api, name, 1, "no", status=422)


async def test_a_stale_if_match_moves_nothing(api: Api) -> None:
    await _point(api, "champion", 1, "the first")

    answer = await api.call(
        "PUT",
        "/models/triage/aliases/champion",
        {"version": 2, "reason": "late"},
        headers={"if-match": '"7"'},
        status=412,
    )

    assert answer.json()["code"] == "revision_conflict"
    assert (await api.get("/models/triage/aliases/champion"))["version"] == 1
