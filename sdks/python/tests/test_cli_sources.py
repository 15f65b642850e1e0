"""Models from outside: connections, imports, and deploying what is fetched first."""

from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from towpath.cli import fetching
from towpath.testing import Answer

RESOURCE = {
    "revision": 1,
    "created_at": "2026-01-05T10:00:00Z",
    "updated_at": "2026-01-05T10:00:00Z",
}
CONNECTION = {
    **RESOURCE,
    "id": "con_1",
    "name": "care-models",
    "team": "care",
    "location": "s3://models/care/",
    "endpoint": "https://s3.example.com",
    "username": "KEY",
    "has_credential": True,
}
VERSION = {
    **RESOURCE,
    "id": "mdv_1",
    "model": "triage",
    "version": 4,
    "uri": "models:/triage/4",
    "digest": "sha256:5b1cab",
    "format": "onnx",
    "size": 98_000_000,
    "files": [],
    "lineage": {},
    "tags": {},
}
MANIFEST = """\
apiVersion: towpath.dev/v1alpha1
kind: ModelDeployment
metadata: {name: triage, project: care/triage}
spec:
  model: {uri: "hf://acme/triage:v2"}
"""
DEPLOYMENT = {
    "id": "dep_1",
    "revision": 1,
    "name": "triage",
    "environment": "sandbox",
    "phase": "Ready",
    "conditions": [],
    "endpoint": "triage",
    "operations": ["predict"],
    "serving_revision": 1,
}


def coming(phase: str, done: int = 0, **more: Any) -> dict[str, Any]:
    return {
        **RESOURCE,
        "id": "imp_1",
        "model": "triage",
        "project": "care/triage",
        "uri": "hf://acme/triage:v2",
        "phase": phase,
        "bytes": {"done": done, "total": 98_000_000 if phase != "queued" else None},
        "files": {"done": 0, "total": None},
        "version": 4 if phase == "done" else None,
        "attempts": 0,
        "created_by": "ada",
        **more,
    }


def printed(done: Any) -> tuple[int, str, str]:
    return done.code, done.out, done.err


def comes(cli: Any, *phases: dict[str, Any]) -> None:
    cli.fake.answer("POST", "/api/v1/models/triage/imports", Answer(202, coming("queued")))
    cli.fake.answer("GET", "/api/v1/imports/imp_1", *(Answer(body=one) for one in phases))
    cli.fake.answer("GET", "/api/v1/models/triage/versions/4", Answer(body=VERSION))


def test_a_model_is_brought_and_watched(cli: Any) -> None:
    comes(cli, coming("queued"), coming("fetching", 42_000_000), coming("done", 98_000_000))

    done = cli("models", "import", "hf://acme/triage:v2", "--project", "care/triage")

    assert printed(done) == snapshot(
        (
            0,
            "models:/triage/4\n",
            """\
hf://acme/triage:v2 → models:/triage
  ✓ 93.5 MiB received                                                  0.0 s
Next: `uri: models:/triage/4` in a manifest, or `towpath models alias triage candidate 4 --reason "…"`
""",
        )
    )
    assert cli.fake.calls[0].body == {"uri": "hf://acme/triage:v2", "project": "care/triage"}
    assert cli.slept == [0.5, 0.5]


def test_nobody_has_to_watch(cli: Any) -> None:
    comes(cli)

    done = cli("models", "import", "hf://acme/triage:v2", "--no-wait")

    assert done.code == 0
    assert "`towpath imports show imp_1`" in done.err
    assert [call.method for call in cli.fake.calls] == ["POST"]


def test_why_it_failed_is_said_with_the_fix(cli: Any) -> None:
    failed = coming("failed", reason="Gated", message="The repository is gated.", fix="Ask.")
    comes(cli, failed)

    done = cli("models", "import", "hf://acme/triage:v2", "--project", "care/triage")

    assert printed(done) == snapshot(
        (
            1,
            "",
            """\
hf://acme/triage:v2 → models:/triage
error: hf://acme/triage:v2 cannot be fetched: The repository is gated

fix: ask
""",
        )
    )


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("hf://acme/Triage_v2:refs/pr/1", "triage-v2"),
        ("hf://acme/triage/weights/q4_k.gguf:main", "q4-k"),
        ("oci://ghcr.io:5000/acme/triage:1.0", "triage"),
        ("oci://ghcr.io/acme/triage@sha256:00", "triage"),
        ("s3://models/care/triage/", "triage"),
        ("https://files.example.com/a/triage.onnx#sha256=00", "triage"),
    ],
)
def test_the_name_here_is_made_of_the_one_there(uri: str, name: str) -> None:
    assert fetching.name_of(uri) == name


def on_its_way() -> Answer:
    problem = {
        "import": "imp_1",
        "code": "source_fetching",
        "detail": "The model is on its way. Nothing was deployed yet.",
        "status": 409,
    }
    return Answer(409, problem, {"retry-after": "1"})


@pytest.fixture
def manifest(home: Path) -> Path:
    (home / "towpath.yaml").write_text(MANIFEST)
    return home / "towpath.yaml"


def test_a_deployment_follows_its_model_and_goes_on_by_itself(cli: Any, manifest: Path) -> None:
    comes(cli, coming("fetching", 42_000_000), coming("done", 98_000_000))
    cli.fake.answer("POST", "/api/v1/deployments", on_its_way(), Answer(201, DEPLOYMENT))

    done = cli("deploy", str(manifest))

    assert printed(done) == snapshot(
        (
            0,
            "POST http://towpath/v1/models/triage/predict\n",
            """\
triage → sandbox
  ✓ Fetched       93.5 MiB as models:/triage/4                         0.0 s

  dep_1
  Next: `towpath predict triage "…"`
""",
        )
    )
    assert [call.path for call in cli.fake.calls] == [
        "/api/v1/deployments",
        "/api/v1/imports/imp_1",
        "/api/v1/imports/imp_1",
        "/api/v1/deployments",
    ]


def test_a_deployment_whose_model_cannot_be_had_says_why(cli: Any, manifest: Path) -> None:
    comes(cli, coming("failed", reason="Gated", message="The repository is gated.", fix="Ask."))
    cli.fake.answer("POST", "/api/v1/deployments", on_its_way())

    done = cli("deploy", str(manifest))

    assert (done.code, "The repository is gated" in done.err, "fix: ask" in done.err) == (
        1,
        True,
        True,
    )


def test_apply_brings_a_model_and_declares_its_version(cli: Any, manifest: Path) -> None:
    comes(cli, coming("done", 98_000_000))
    for path in ("projects", "teams", "deployments"):
        cli.fake.answer("GET", f"/api/v1/{path}", Answer(body={"items": [], "next": None}))
    cli.fake.answer("POST", "/api/v1/deployments", Answer(201, DEPLOYMENT))

    done = cli("apply", "-f", str(manifest), "--no-wait")

    sent = [call for call in cli.fake.calls if call.path == "/api/v1/deployments" and call.body]
    assert done.code == 0, done.err
    assert [call.body["spec"]["model"]["uri"] for call in sent] == ["models:/triage/4"] * 2


def test_connections_are_made_with_their_secret_from_stdin(cli: Any) -> None:
    cli.fake.answer("POST", "/api/v1/connections", Answer(201, CONNECTION))

    done = cli(
        "connections", "create", "care-models", "--team", "care", "--location", "s3://models/care/",
        "--endpoint", "https://s3.example.com", "--username", "KEY", "--credential-stdin",
        stdin="a-secret\n",
    )  # fmt: skip

    assert cli.fake.calls[0].body == {
        "name": "care-models",
        "location": "s3://models/care/",
        "team": "care",
        "endpoint": "https://s3.example.com",
        "username": "KEY",
        "credential": "a-secret",
    }
    assert printed(done) == snapshot(
        (
            0,
            """\
revision        1
created_at      2026-01-05T10:00:00Z
updated_at      2026-01-05T10:00:00Z
id              con_1
name            care-models
team            care
location        s3://models/care/
endpoint        https://s3.example.com
username        KEY
has_credential  yes
""",
            """\

Next: `towpath models import s3://models/care/… --project TEAM/PROJECT`
""",
        )
    )


def test_connections_and_imports_are_listed(cli: Any) -> None:
    cli.fake.answer(
        "GET", "/api/v1/connections", Answer(body={"items": [CONNECTION], "next": None})
    )
    items = [coming("fetching", 42_000_000), coming("done", 98_000_000)]
    cli.fake.answer("GET", "/api/v1/imports", Answer(body={"items": items, "next": None}))

    assert printed(cli("connections", "list")) == snapshot(
        (
            0,
            """\
connection   team  for                endpoint                credential
care-models  care  s3://models/care/  https://s3.example.com  sealed
""",
            """\

Bring a model: `towpath models import URI --project TEAM/PROJECT`
""",
        )
    )
    assert printed(cli("imports", "list")) == snapshot(
        (
            0,
            """\
import  model     phase                     here  begun       from
imp_1   triage    fetching  40.1 MiB of 93.5 MiB  2026-01-05  hf://acme/triage:…
imp_1   triage/4  done                  93.5 MiB  2026-01-05  hf://acme/triage:…
""",
            """\

One of them: `towpath imports show ID`
""",
        )
    )


def test_a_connection_is_changed_and_deleted(cli: Any) -> None:
    path = "/api/v1/connections/care-models"
    cli.fake.answer("PATCH", path, Answer(body=CONNECTION))
    cli.fake.answer("DELETE", path, Answer(204))

    changed = cli("connections", "update", "care-models", "--credential-stdin", stdin="new\n")
    nothing = cli("connections", "update", "care-models")
    gone = cli("connections", "delete", "care-models")

    assert cli.fake.calls[0].body == {"credential": "new"}
    assert (changed.code, nothing.code, gone.err) == (0, 2, "Deleted `care-models`.\n")


def test_an_import_is_cancelled(cli: Any) -> None:
    cli.fake.answer("DELETE", "/api/v1/imports/imp_1", Answer(204))

    assert printed(cli("imports", "cancel", "imp_1")) == (0, "", "Cancelled `imp_1`.\n")
