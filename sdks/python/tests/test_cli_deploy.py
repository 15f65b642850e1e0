"""`towpath deploy`: upload, refusal, waiting, failure."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from towpath.testing import Answer

MANIFEST = """\
apiVersion: towpath.dev/v1alpha1
kind: ModelDeployment
metadata:
  name: triage
  project: care/triage
spec:
  model:
    uri: file:./model
    format: onnx
  runtime:
    name: torchserve
"""
WEIGHTS = b"not really onnx"
DIGEST = f"sha256:{hashlib.sha256(WEIGHTS).hexdigest()}"
VERSION = {"model": "triage", "version": 2, "uri": "models:/triage/2", "digest": "sha256:5b1cab"}


@pytest.fixture
def manifest(home: Path) -> Path:
    folder = home / "triage"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.onnx").write_bytes(WEIGHTS)
    (folder / "model" / ".cache").write_bytes(b"not a part of it")
    (folder / "card.md").write_text("# Triage\n")
    (folder / "signature.json").write_text('{"inputs": [], "outputs": []}')
    (folder / "towpath.yaml").write_text(MANIFEST)
    return folder / "towpath.yaml"


def condition(kind: str, status: str, message: str, fix: str | None = None) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": "R", "message": message, "fix": fix}


def deployment(phase: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "dep_1",
        "revision": 1,
        "name": "triage",
        "environment": "sandbox",
        "phase": phase,
        "conditions": list(conditions),
        "endpoint": "triage",
        "operations": ["predict"],
        "serving_revision": 1 if phase == "Ready" else None,
    }


def uploads(cli: Any, *, known: bool = False) -> None:
    cli.fake.answer("HEAD", f"/api/v1/blobs/{DIGEST}", Answer(200 if known else 404))
    cli.fake.answer("PUT", f"/api/v1/blobs/{DIGEST}", Answer(201, {"digest": DIGEST, "size": 15}))
    cli.fake.answer("POST", "/api/v1/models/triage/versions", Answer(201, VERSION))


def test_local_files_are_uploaded_by_digest_and_named_by_version(cli: Any, manifest: Path) -> None:
    uploads(cli)
    checked = condition("Checked", "True", "quota 1 of 4 replicas, fits in 0.4 of 2 GiB")
    loading = condition("Loaded", "Unknown", "starting the model server")
    cli.fake.answer(
        "POST", "/api/v1/deployments", Answer(201, deployment("Progressing", checked, loading))
    )
    cli.fake.answer(
        "GET",
        "/api/v1/deployments/dep_1",
        Answer(body=deployment("Progressing", checked, loading)),
        Answer(
            body=deployment(
                "Ready",
                checked,
                condition("Loaded", "True", "onnx, 1 replica"),
                condition("Exposed", "True", "100 % of traffic"),
            )
        ),
    )

    done = cli("deploy", str(manifest))

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            "POST http://towpath/v1/models/triage/predict\n",
            """\
triage → sandbox
  ✓ Uploaded      sha256:5b1cab… 15 B as models:/triage/2              0.0 s
  ✓ Checked       quota 1 of 4 replicas, fits in 0.4 of 2 GiB          0.0 s
  ✓ Loaded        onnx, 1 replica                                      0.0 s
  ✓ Exposed       100 % of traffic                                     0.0 s

  dep_1
  Next: `towpath predict triage "…"`
""",
        )
    )
    assert [(call.method, call.path.replace(DIGEST, "D")) for call in cli.fake.calls] == snapshot(
        [
            ("HEAD", "/api/v1/blobs/D"),
            ("PUT", "/api/v1/blobs/D"),
            ("POST", "/api/v1/models/triage/versions"),
            ("POST", "/api/v1/deployments"),
            ("GET", "/api/v1/deployments/dep_1"),
            ("GET", "/api/v1/deployments/dep_1"),
        ]
    )
    assert cli.fake.calls[1].content == WEIGHTS
    assert cli.fake.calls[2].body == {
        "format": "onnx",
        "files": [{"path": "model.onnx", "digest": DIGEST, "size": 15}],
        "signature": {"inputs": [], "outputs": []},
        "card": "# Triage\n",
        "project": "care/triage",
    }
    assert cli.fake.calls[3].query == {"environment": "sandbox"}
    assert cli.fake.calls[3].body["spec"]["model"] == {"uri": "models:/triage/2", "format": "onnx"}
    assert cli.slept == [0.25, 0.25]


def test_what_is_there_already_is_not_sent_again(cli: Any, manifest: Path) -> None:
    uploads(cli, known=True)
    cli.fake.answer("POST", "/api/v1/deployments", Answer(201, deployment("Ready")))

    done = cli("deploy", str(manifest.parent))

    assert done.code == 0
    assert "PUT" not in {call.method for call in cli.fake.calls}


def test_a_refusal_names_every_line_and_fix(cli: Any, manifest: Path) -> None:
    uploads(cli, known=True)
    problem = {
        "type": "about:blank",
        "title": "Manifest was refused",
        "status": 422,
        "detail": "The manifest is refused at `#/spec/runtime/name`: …",
        "code": "manifest_invalid",
        "fix": "Use one of `onnx`, `llama.cpp`.",
        "findings": [
            {
                "path": "#/spec/runtime/name",
                "message": "`torchserve` is not a runtime here.",
                "fix": "Use one of `onnx`, `llama.cpp`.",
            },
            {
                "path": "#/spec/scaling/maxReplicas",
                "message": "4 replicas need 8 GiB, and 2 GiB are free.",
                "fix": "Set `maxReplicas: 1`.",
            },
            {"path": "#/metadata/project", "message": "There is no project `care/triage`."},
        ],
    }
    headers = {"content-type": "application/problem+json", "x-request-id": "req_422"}
    cli.fake.answer("POST", "/api/v1/deployments", Answer(422, problem, headers))

    done = cli("deploy", str(manifest))

    assert (done.code, done.out, done.err) == snapshot(
        (
            1,
            "",
            """\
triage → sandbox
  ✓ Uploaded      sha256:5b1cab… 15 B as models:/triage/2              0.0 s
error: triage → sandbox: refused, nothing was deployed (3 findings)

  towpath.yaml:11    runtime.name
    `torchserve` is not a runtime here.
    fix: Use one of `onnx`, `llama.cpp`.

  towpath.yaml:6    scaling.maxReplicas
    4 replicas need 8 GiB, and 2 GiB are free.
    fix: Set `maxReplicas: 1`.

  towpath.yaml:5    metadata.project
    There is no project `care/triage`.

  req_422
""",
        )
    )


def test_a_failure_says_why_and_what_to_do(cli: Any, manifest: Path) -> None:
    uploads(cli, known=True)
    failed = deployment(
        "Failed",
        condition("Checked", "True", "fits"),
        condition(
            "Loaded", "False", "the server ended 4 times:\nno input `text`", "look at its inputs"
        ),
    )
    cli.fake.answer("POST", "/api/v1/deployments", Answer(201, failed))

    done = cli("deploy", str(manifest))

    assert (done.code, done.out, done.err) == snapshot(
        (
            1,
            "",
            """\
triage → sandbox
  ✓ Uploaded      sha256:5b1cab… 15 B as models:/triage/2              0.0 s
  ✓ Checked       fits                                                 0.0 s
  ✗ Loaded        the server ended 4 times:                            0.0 s

error: `triage` is not ready: Loaded: the server ended 4 times:
  no input `text`

fix: look at its inputs
  dep_1; its log: `towpath logs triage`
""",
        )
    )


def test_watching_ends_after_its_time_and_the_deployment_goes_on(
    cli: Any, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads(cli, known=True)
    waiting = deployment("Progressing", condition("Loaded", "Unknown", "starting"))
    cli.fake.answer("POST", "/api/v1/deployments", Answer(201, waiting))
    cli.fake.answer("GET", "/api/v1/deployments/dep_1", Answer(body=waiting))
    ticks = iter(range(0, 10_000, 10))
    cli.now = lambda: float(next(ticks))

    done = cli("deploy", str(manifest), "--timeout", "30")

    assert done.code == 0
    assert "Not ready yet (Progressing). See `towpath deployments show dep_1`" in done.err


def test_a_deployment_as_json_is_one_document(cli: Any, manifest: Path) -> None:
    uploads(cli, known=True)
    cli.fake.answer("POST", "/api/v1/deployments", Answer(201, deployment("Pending")))

    done = cli("deploy", str(manifest), "--no-wait", "--json")

    assert done.code == 0
    assert '"phase": "Pending"' in done.out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("metadata: [", "not YAML"),
        ("just text", "is not a manifest"),
        ("spec: {model: {uri: 'file:./model'}}", "needs its name and its format"),
        (MANIFEST.replace("./model", "./nowhere"), "towpath.yaml:8    model.uri: there is no file"),
    ],
)
def test_a_broken_manifest_is_told_before_anything_is_sent(
    text: str, said: str, cli: Any, manifest: Path
) -> None:
    manifest.write_text(text)

    done = cli("deploy", str(manifest))

    assert done.code == 1
    assert said in done.err
    assert "fix:" in done.err
    assert cli.fake.calls == []


def test_a_missing_manifest_is_told(cli: Any, home: Path) -> None:
    done = cli("deploy", str(home / "no.yaml"))

    assert (done.code, done.out, done.err) == snapshot(
        (
            1,
            "",
            """\
error: there is no manifest HOME/no.yaml

fix: name it: `towpath deploy FILE`
""",
        )
    )


def test_an_empty_model_folder_is_told(cli: Any, manifest: Path) -> None:
    for file in (manifest.parent / "model").iterdir():
        file.unlink()

    done = cli("deploy", str(manifest))

    assert done.code == 1
    assert "is empty" in done.err
