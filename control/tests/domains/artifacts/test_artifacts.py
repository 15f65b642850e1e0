"""Uploads that survive cuts, who holds what, and what a collection may never remove."""

import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import ports
import pytest
from artifacts import onnx
from fastapi import FastAPI
from platform_api import Api

from towpath_server.api import furnish
from towpath_server.core.access import SYSTEM
from towpath_server.core.clock import FixedClock
from towpath_server.core.config import Settings
from towpath_server.core.db import Database
from towpath_server.core.storage import ArtifactSettings
from towpath_server.domains.artifacts import service as artifacts
from towpath_server.domains.artifacts.models import Depot

DAY_S = 86_400


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
async def project(api: Api) -> str:
    await api.create("/teams", name="care")
    return (await api.create("/projects", team="care", name="triage"))["id"]


@pytest.fixture
async def developer(api: Api, project: str) -> Api:
    return await person(api, "care")


@pytest.fixture
def depot(app: FastAPI, db: Database) -> Depot:
    machine = app.state.facilities
    return Depot(db, machine.artifacts, machine.upload_lasts_s)


async def person(api: Api, team: str) -> Api:
    name = f"user-{os.urandom(4).hex()}"
    user = await api.create("/users", name=name, email=f"{name}@example.org")
    await api.create("/members", team=team, user=user["id"], role="developer")
    token = await api.create(f"/users/{user['id']}/tokens", name="laptop")
    return api.as_(token["token"])


async def begin(api: Api, content: bytes, **more: Any) -> Any:
    body = {"digest": digest_of(content), "size": len(content), **more}
    return (await api.call("POST", "/uploads", body)).json()


async def send(api: Api, upload: str, offset: int, content: bytes, *, status: int = 200) -> Any:
    headers = {"upload-offset": str(offset)}
    path = f"/uploads/{upload}"
    return (await api.call("PATCH", path, content=content, headers=headers, status=status)).json()


async def put(api: Api, content: bytes) -> dict[str, Any]:
    digest = digest_of(content)
    await api.call("PUT", f"/blobs/{digest}", content=content, status=201)
    return {"path": "model.onnx", "digest": digest, "size": len(content)}


def age(app: FastAPI, seconds: float) -> None:
    """Let all stored bytes have come in longer ago."""
    then = time.time() - seconds
    for path in Path(app.state.facilities.folder.artifacts).rglob("*"):
        os.utime(path, (then, then))


async def test_an_upload_goes_on_where_it_was_cut(developer: Api) -> None:
    content = os.urandom(300_000)
    upload = await begin(developer, content)
    await send(developer, upload["id"], 0, content[:100_000])

    again = await begin(developer, content)
    head = await developer.call("HEAD", f"/uploads/{upload['id']}", status=200)
    await send(developer, upload["id"], again["offset"], content[100_000:])
    done = await developer.call("POST", f"/uploads/{upload['id']}/finish", status=200)

    assert (again["id"], again["offset"]) == (upload["id"], 100_000)
    assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("100000", "300000")
    assert done.json() == {"digest": digest_of(content), "size": 300_000}
    assert (await developer.get("/uploads"))["items"] == []
    await developer.call("HEAD", f"/blobs/{digest_of(content)}", status=200)


async def test_a_connection_that_breaks_loses_no_byte_that_came(
    depot: Depot, developer: Api, app: FastAPI
) -> None:
    content = os.urandom(400_000)
    upload = await begin(developer, content)

    async def broken() -> AsyncIterator[bytes]:
        yield content[:150_000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await artifacts.append(depot, SYSTEM, upload["id"], 0, broken())
    now = await developer.get(f"/uploads/{upload['id']}")

    assert now["offset"] == 150_000


async def test_what_is_wrong_with_a_piece_is_said(developer: Api) -> None:
    content = os.urandom(1_000)
    upload = await begin(developer, content)
    await send(developer, upload["id"], 0, content[:10])

    elsewhere = await send(developer, upload["id"], 5, content[5:], status=409)
    long = await send(developer, upload["id"], 10, content, status=422)
    early = await developer.call("POST", f"/uploads/{upload['id']}/finish", status=409)

    assert elsewhere["code"] == "upload_offset_conflict"
    assert "has 10 bytes so far" in elsewhere["detail"]
    assert long["code"] == "upload_too_long"
    assert early.json()["code"] == "upload_incomplete"
    assert "Upload-Offset: 10" in early.json()["fix"]


async def test_an_upload_with_other_bytes_is_refused_and_gone(developer: Api) -> None:
    upload = await begin(developer, b"weights")
    await send(developer, upload["id"], 0, b"w-e-i-g"[:7])

    refused = await developer.call("POST", f"/uploads/{upload['id']}/finish", status=422)

    assert refused.json()["code"] == "digest_mismatch"
    await developer.call("GET", f"/uploads/{upload['id']}", status=404)
    await developer.call("HEAD", f"/blobs/{digest_of(b'weights')}", status=404)


async def test_a_digest_alone_gives_nobody_the_content(api: Api, developer: Api) -> None:
    """What another team has uploaded can neither be finished without its bytes nor be seen."""
    await api.create("/teams", name="web")
    web = await person(api, "web")
    content = b"the secret weights of care"
    upload = await begin(developer, content)
    await put(developer, content)

    own = await begin(web, content)
    early = await web.call("POST", f"/uploads/{own['id']}/finish", status=409)

    assert early.json()["code"] == "upload_incomplete"
    await web.call("GET", f"/uploads/{upload['id']}", status=404)
    await web.call("HEAD", f"/blobs/{digest_of(content)}", status=404)


async def test_an_upload_can_be_given_up(developer: Api) -> None:
    upload = await begin(developer, b"weights")
    await send(developer, upload["id"], 0, b"wei")

    await developer.call("DELETE", f"/uploads/{upload['id']}", status=204)

    assert (await begin(developer, b"weights"))["offset"] == 0


async def test_a_collection_leaves_what_anything_needs(
    api: Api, app: FastAPI, developer: Api, project: str, clock: FixedClock
) -> None:
    needed, loose = await put(developer, onnx(name="needed")), await put(developer, b"loose")
    body = {"format": "onnx", "files": [needed], "project": project}
    await developer.call("POST", "/models/triage/versions", body, status=201)
    age(app, 2 * DAY_S)
    young = await api.call("POST", "/artifacts/collect?dry_run=true", status=200)
    clock.advance(seconds=2 * DAY_S)

    would = await api.call("POST", "/artifacts/collect?dry_run=true", status=200)
    did = await api.call("POST", "/artifacts/collect", status=200)
    events = await api.get("/audit?noun=artifact")

    assert young.json()["files"] == 0  # it was uploaded just now, says the database
    expected = {"files": 1, "size": 5, "uploads": 0}
    assert would.json() == {"dry_run": True, **expected}
    assert did.json() == {"dry_run": False, **expected}
    assert "artifact.collected" in [event["action"] for event in events["items"]]
    await developer.call("HEAD", f"/blobs/{needed['digest']}", status=200)
    await developer.call("HEAD", f"/blobs/{loose['digest']}", status=404)


async def test_who_asks_for_content_keeps_it_for_a_while(
    api: Api, app: FastAPI, developer: Api, project: str, clock: FixedClock
) -> None:
    """Else it could go between the question and the version that relies on the answer."""
    file = await put(developer, onnx(name="asked"))
    age(app, 2 * DAY_S)
    clock.advance(seconds=2 * DAY_S)
    await developer.call("HEAD", f"/blobs/{file['digest']}", status=200)

    await api.call("POST", "/artifacts/collect", status=200)

    body = {"format": "onnx", "files": [file], "project": project}
    await developer.call("POST", "/models/triage/versions", body, status=201)


async def test_content_that_went_must_come_again(
    api: Api, app: FastAPI, developer: Api, project: str, clock: FixedClock
) -> None:
    file = await put(developer, onnx(name="went"))
    age(app, 2 * DAY_S)
    clock.advance(seconds=2 * DAY_S)
    await api.call("POST", "/artifacts/collect", status=200)
    body = {"format": "onnx", "files": [file], "project": project}

    refused = await developer.call("POST", "/models/triage/versions", body, status=409)
    await put(developer, onnx(name="went"))
    await developer.call("POST", "/models/triage/versions", body, status=201)

    assert refused.json()["code"] == "files_unknown"


async def test_uploads_that_nobody_goes_on_with_go(
    api: Api, developer: Api, depot: Depot, clock: FixedClock
) -> None:
    upload = await begin(developer, b"weights")
    await send(developer, upload["id"], 0, b"wei")
    clock.advance(seconds=DAY_S - 60)
    await send(developer, upload["id"], 3, b"g")
    clock.advance(seconds=DAY_S - 60)

    kept = await artifacts.collect(depot, SYSTEM)
    clock.advance(seconds=120)
    gone = await artifacts.collect(depot, SYSTEM)

    assert (kept.uploads, gone.uploads) == (0, 1)
    assert await depot.store.received(upload["id"]) == 0
    await developer.call("GET", f"/uploads/{upload['id']}", status=404)


async def test_the_platform_serves_while_its_bucket_is_away(
    api: Api, app: FastAPI, db: Database, settings: Settings, developer: Api
) -> None:
    """Only what needs the bucket is refused, with what to look at."""
    (port,) = ports.free(1)
    given = {"url": "s3://models/below", "endpoint": f"http://127.0.0.1:{port}"}
    away = settings.model_copy(update={"artifacts": ArtifactSettings.model_validate(given)})
    furnish(app, db, away)
    app.state.facilities.prepare()

    refused = await developer.call("PUT", f"/blobs/{digest_of(b'x')}", content=b"x", status=503)

    assert refused.json()["code"] == "storage_failed"
    assert "`s3://models/below/artifacts`" in refused.json()["detail"]
    assert "TOWPATH_ARTIFACTS__ENDPOINT" in refused.json()["fix"]
    assert (await developer.get("/models"))["items"] == []
    await api.call("POST", "/artifacts/collect", status=503)
