"""The registry: immutable versions, and content that only who has it may use."""

import hashlib
from typing import Any

import pytest
from artifacts import onnx
from platform_api import Api


@pytest.fixture(autouse=True)
async def _teams(api: Api) -> None:
    for team in ("care", "web"):
        await api.create("/teams", name=team)
        await api.create("/projects", team=team, name="one")


async def _account(api: Api, project: str) -> Api:
    made = await api.create(
        "/service-accounts", project=project, name="robot", scopes=["read", "deploy"]
    )
    return api.as_(made["token"])


async def upload(api: Api, content: bytes, path: str = "model.onnx") -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    await api.call("PUT", f"/blobs/{digest}", content=content, status=201)
    return {"path": path, "digest": digest, "size": len(content)}


async def test_versions_are_numbered_from_one(api: Api) -> None:
    await api.create("/models", name="triage", project="care/one")

    numbers = []
    for weights in (onnx(name="first"), onnx(name="second")):
        version = await api.create(
            "/models/triage/versions", format="onnx", files=[await upload(api, weights)]
        )
        numbers.append((version["version"], version["uri"]))

    assert numbers == [(1, "models:/triage/1"), (2, "models:/triage/2")]
    listed = await api.get("/models/triage/versions")
    assert [one["version"] for one in listed["items"]] == [1, 2]


async def test_the_same_content_again_is_the_same_version(api: Api) -> None:
    body = {"format": "onnx", "files": [await upload(api, onnx(name="x"))], "project": "care/one"}

    first = await api.call("POST", "/models/triage/versions", body, status=201)
    second = await api.call("POST", "/models/triage/versions", body, status=200)

    assert first.json() == second.json()


async def test_several_files_have_a_digest_of_their_list(api: Api) -> None:
    files = [await upload(api, onnx(), "model.onnx"), await upload(api, b"b", "vocab/words.txt")]

    one = await api.create(
        "/models/one/versions", format="onnx", files=files[:1], project="care/one"
    )
    two = await api.create("/models/two/versions", format="onnx", files=files, project="care/one")

    assert one["digest"] == files[0]["digest"]
    assert two["digest"] not in {file["digest"] for file in files}
    assert two["size"] == len(onnx()) + 1


async def test_content_of_another_team_cannot_be_used_or_probed(api: Api) -> None:
    """A digest is no proof that one has the content, and must not tell who has which model."""
    care, web = await _account(api, "care/one"), await _account(api, "web/one")
    file = await upload(care, b"the weights of another team")

    probe = await web.call("HEAD", f"/blobs/{file['digest']}")
    stolen = await web.call(
        "POST",
        "/models/mine/versions",
        {"format": "onnx", "files": [file], "project": "web/one"},
        status=409,
    )
    own = await care.call("HEAD", f"/blobs/{file['digest']}")

    assert (probe.status_code, own.status_code) == (404, 200)
    assert stolen.json()["code"] == "files_unknown"
    await web.get("/models/mine", status=404)


@pytest.mark.parametrize(
    "file",
    [
        {"path": "../escape"},
        {"path": "/etc/passwd"},
        {"digest": "sha256:x"},
        {"size": -1},
    ],
)
async def test_files_that_cannot_be_are_refused(api: Api, file: dict[str, Any]) -> None:
    given = {**await upload(api, onnx(name="x")), **file}

    answer = await api.call(
        "POST",
        "/models/triage/versions",
        {"format": "onnx", "files": [given], "project": "care/one"},
        status=422,
    )

    assert answer.json()["findings"]
    await api.get("/models/triage", status=404)


async def test_a_wrong_size_is_named(api: Api) -> None:
    file = {**await upload(api, b"four"), "size": 5}

    answer = await api.call(
        "POST",
        "/models/triage/versions",
        {"format": "onnx", "files": [file], "project": "care/one"},
        status=409,
    )

    assert "has 4 bytes, not 5" in answer.json()["detail"]


async def test_an_upload_with_another_digest_is_refused(api: Api) -> None:
    answer = await api.call("PUT", f"/blobs/sha256:{'0' * 64}", content=b"x", status=422)

    assert answer.json()["code"] == "digest_mismatch"


async def test_models_are_seen_as_far_as_they_are_shared(api: Api) -> None:
    web = await _account(api, "web/one")
    for name, visibility in (("private", "project"), ("ours", "team"), ("open", "organization")):
        await api.create("/models", name=name, project="care/one", visibility=visibility)

    listed = await web.get("/models")

    assert [one["name"] for one in listed["items"]] == ["open"]
    await web.get("/models/private", status=404)
    await web.call("PATCH", "/models/open", {"description": "mine now"}, status=404)


async def test_a_version_that_is_not_there_names_the_newest(api: Api) -> None:
    await api.create(
        "/models/triage/versions",
        format="onnx",
        files=[await upload(api, onnx(name="x"))],
        project="care/one",
    )

    answer = await api.get("/models/triage/versions/9", status=404)

    assert answer["fix"] == "The newest version is 1."
