"""The registry: immutable versions, and content that only who has it may use."""

import hashlib
from typing import Any

import pytest
from artifacts import gguf, onnx
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


async def test_what_is_downloaded_is_what_was_uploaded_in_whole_and_in_part(api: Api) -> None:
    content = onnx(name="n" * 3_000)
    size = len(content)
    file = await upload(api, content, "weights/model one.onnx")
    await api.create("/models/m/versions", format="onnx", files=[file], project="care/one")
    path = "/models/m/versions/1/files/weights/model%20one.onnx"

    whole = await api.call("GET", path, status=200)
    tag = whole.headers["etag"]
    parts = [
        await api.call("GET", path, headers={"range": f"bytes={wanted}"}, status=206)
        for wanted in ("0-0", "100-199", "2000-", "-20", "2100-99999")
    ]
    same = await api.call("GET", path, headers={"if-none-match": tag}, status=304)
    other = await api.call(
        "GET", path, headers={"range": "bytes=5-", "if-range": '"sha256:other"'}, status=200
    )
    behind = await api.call("GET", path, headers={"range": f"bytes={size}-"}, status=416)

    assert whole.content == other.content == content
    assert tag == f'"{file["digest"]}"'
    assert whole.headers["content-length"] == str(size)
    assert [part.content for part in parts] == [
        content[0:1],
        content[100:200],
        content[2000:],
        content[-20:],
        content[2100:],
    ]
    assert parts[1].headers["content-range"] == f"bytes 100-199/{size}"
    assert same.content == b""
    assert behind.json()["code"] == "range_not_satisfiable"


@pytest.mark.parametrize("wanted", ["bytes=9-2", "bytes=-", "bytes=0-1,3-4", "lines=1-2", "bytes"])
async def test_a_range_that_cannot_be_read_is_not_one(api: Api, wanted: str) -> None:
    file = await upload(api, onnx())
    await api.create("/models/m/versions", format="onnx", files=[file], project="care/one")

    answer = await api.call(
        "GET", "/models/m/versions/1/files/model.onnx", headers={"range": wanted}, status=200
    )

    assert answer.content == onnx()


async def test_an_empty_file_is_downloaded(api: Api) -> None:
    files = [await upload(api, b"", "empty.txt"), await upload(api, onnx())]
    await api.create("/models/m/versions", format="onnx", files=files, project="care/one")

    answer = await api.call("GET", "/models/m/versions/1/files/empty.txt", status=200)

    assert answer.content == b""


async def test_files_are_read_by_those_who_see_the_model_alone(api: Api) -> None:
    web = await _account(api, "web/one")
    file = await upload(api, onnx())
    await api.create("/models/m/versions", format="onnx", files=[file], project="care/one")

    await web.call("GET", "/models/m/versions/1/files/model.onnx", status=404)
    await api.call("PATCH", "/models/m", {"visibility": "organization"}, status=200)
    shared = await web.call("GET", "/models/m/versions/1/files/model.onnx", status=200)
    missing = await api.get("/models/m/versions/1/files/modle.onnx", status=404)

    assert shared.content == onnx()
    assert missing["fix"] == "Did you mean `model.onnx`?"


async def test_a_format_that_is_not_known_names_the_nearest(api: Api) -> None:
    body = {"format": "onx", "files": [await upload(api, onnx())], "project": "care/one"}

    answer = await api.call("POST", "/models/m/versions", body, status=422)

    (finding,) = answer.json()["findings"]
    assert (finding["path"], finding["reason"]) == ("#/format", "UnknownFormat")
    assert finding["fix"] == "Did you mean `onnx`?"


CARD = """# Triage

## Example

A ticket of a customer.

```bash
# Example
```

```json
{"inputs": ["card declined twice"]}
```

## Licence

Apache-2.0
"""


async def test_a_version_keeps_card_example_licence_and_lineage(api: Api) -> None:
    lineage = {"base_model": "hf:org/base", "dataset": "tickets", "run": "r-7"}

    made = await api.create(
        "/models/m/versions",
        format="onnx",
        files=[await upload(api, onnx())],
        project="care/one",
        card=CARD,
        licence="apache-2.0",
        lineage=lineage,
    )

    assert made["example"] == {"inputs": ["card declined twice"]}
    assert (made["licence"], made["lineage"]) == ("Apache-2.0", lineage)


@pytest.mark.parametrize(
    ("example", "reason"), [("{", "NotJson"), ("[1]", "WrongType")], ids=["no JSON", "a list"]
)
async def test_an_example_that_is_no_request_is_refused(
    api: Api, example: str, reason: str
) -> None:
    card = f"## Example\n\n```json\n{example}\n```\n"
    body = {"format": "onnx", "files": [await upload(api, onnx())], "project": "care/one"}

    answer = await api.call("POST", "/models/m/versions", {**body, "card": card}, status=422)

    (finding,) = answer.json()["findings"]
    assert (finding["path"], finding["reason"]) == ("#/card", reason)
    assert finding["fix"]


async def test_tags_of_a_version_change_and_nothing_else_of_it(api: Api) -> None:
    made = await api.create(
        "/models/m/versions",
        format="onnx",
        files=[await upload(api, onnx())],
        project="care/one",
        tags={"stage": "trial", "owner": "ada"},
    )

    changed = await api.call(
        "PATCH", "/models/m/versions/1", {"tags": {"stage": "ready", "owner": None}}, status=200
    )
    await api.call("PATCH", "/models/m/versions/1", {"tags": {"a": "b"}, "card": "x"}, status=422)

    after = changed.json()
    assert after["tags"] == {"stage": "ready"}
    assert after["revision"] == made["revision"] + 1
    assert {**after, "tags": made["tags"], "revision": 1} == made
    event = (await api.get("/audit?limit=1"))["items"][0]
    assert event["changes"]["tags"] == {"stage": "ready", "owner": None}


async def test_more_tags_than_a_person_reads_are_refused(api: Api) -> None:
    tags = {f"t{number}": "" for number in range(64)}
    await api.create("/models", name="m", project="care/one", tags=tags)

    answer = await api.call("PATCH", "/models/m", {"tags": {"one": "more"}}, status=422)

    assert answer.json()["findings"][0]["path"] == "#/tags"


@pytest.fixture
async def _shelf(api: Api) -> None:
    await api.create(
        "/models",
        name="triage",
        project="care/one",
        description="Finds the queue for 100% of tickets",
        tags={"domain": "support"},
    )
    await api.create("/models", name="minilm", project="web/one", description="Embeds text")
    await api.create("/models", name="empty", project="web/one")
    for name, content, form, licence, tags in (
        ("triage", onnx(), "onnx", "Apache-2.0", {"stage": "trial"}),
        ("minilm", gguf(), "gguf", "MIT", {"stage": "ready"}),
    ):
        await api.create(
            f"/models/{name}/versions",
            format=form,
            licence=licence,
            tags=tags,
            files=[await upload(api, content, f"model.{form}")],
        )


@pytest.mark.usefixtures("_shelf")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("search=QUEUE+tickets", ["triage"]),
        ("search=100%25", ["triage"]),
        ("search=%25", ["triage"]),
        ("search=_", []),
        ("search=mini", ["minilm"]),
        ("search=tickets+embeds", []),
        ("tag=domain%3Dsupport", ["triage"]),
        ("tag=stage", ["triage", "minilm"]),
        ("tag=stage%3Dready", ["minilm"]),
        ("tag=stage&tag=domain", ["triage"]),
        ("format=onnx", ["triage"]),
        ("licence=apache-2.0", ["triage"]),
        ("licence=MIT&format=onnx", []),
        ("", ["triage", "minilm", "empty"]),
    ],
)
async def test_models_are_searched(api: Api, query: str, found: list[str]) -> None:
    listed = await api.get(f"/models?{query}")

    assert [one["name"] for one in listed["items"]] == found


@pytest.mark.usefixtures("_shelf")
async def test_a_search_shows_nothing_that_is_not_shared(api: Api) -> None:
    web = await _account(api, "web/one")

    listed = await web.get("/models?tag=stage")

    assert [one["name"] for one in listed["items"]] == ["minilm"]
    assert listed["items"][0]["latest_version"] == 1


async def test_a_search_is_bounded(api: Api) -> None:
    answer = await api.get(f"/models?search={'+'.join('abcdefghi')}", status=422)

    assert answer["findings"][0]["path"] == "?search"
