"""What the commands of revisions and evaluations print, to the letter."""

from pathlib import Path
from typing import Any

from towpath.testing import Answer

MODEL = {"name": "triage", "version": 1, "digest": "sha256:1"}
RUNTIME = {"name": "onnx", "version": "1.0", "args": []}


def manifest(replicas: int, *uris: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "triage"},
        "spec": {
            "model": {"uri": "models:/triage/1", "format": "onnx", "digest": "sha256:1"},
            "scaling": {"minReplicas": replicas},
            "access": {"allow": [{"team": one} for one in uris]},
        },
    }


def revision(number: int, document: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "deployment": "dep_1",
        "revision": number,
        "model": MODEL,
        "runtime": RUNTIME,
        "replicas_wanted": 1,
        "manifest": document,
        "created_at": "2026-01-05T10:00:00Z",
        "created_by": "usr_1",
        "exposed_at": None,
        "serving": False,
        "proved_by": None,
        "note": None,
        **more,
    }


FIRST = revision(1, manifest(1, "web"), exposed_at="2026-01-05T10:01:00Z")
SECOND = revision(2, manifest(2), serving=True, note="Back to revision 1.")
DEPLOYMENT = {
    "id": "dep_1",
    "revision": 2,
    "name": "triage",
    "environment": "sandbox",
    "manifest": SECOND["manifest"],
    "model": MODEL,
    "created_at": "2026-01-05T10:00:00Z",
    "updated_at": "2026-01-05T10:00:00Z",
}
EVALUATION = {
    "id": "evl_1",
    "model": "triage",
    "version": 3,
    "suite": "golden",
    "suite_version": "7",
    "metrics": {"accuracy": {"value": 0.87, "low": 0.85, "high": 0.89, "n": 600}},
    "verdict": None,
}


def test_history_says_what_took_the_traffic(cli: Any) -> None:
    page = {"items": [SECOND, FIRST], "next": None}
    cli.fake.answer("GET", "/api/v1/deployments/triage/revisions", Answer(body=page))

    done = cli("deployments", "history", "triage")

    assert (
        done.out
        == """\
revision  model     declared    traffic     by     note
       2  triage/1  2026-01-05  now         usr_1  Back to revision 1.
       1  triage/1  2026-01-05  2026-01-05  usr_1
"""
    )


def test_diff_lists_what_changed_by_path(cli: Any, tmp_path: Path) -> None:
    cli.fake.answer("GET", "/api/v1/deployments/triage", Answer(body=DEPLOYMENT))
    cli.fake.answer("GET", "/api/v1/deployments/dep_1/revisions/1", Answer(body=FIRST))
    cli.fake.answer("GET", "/api/v1/deployments/dep_1/revisions/2", Answer(body=SECOND))
    file = tmp_path / "towpath.yaml"
    file.write_text(
        "metadata: {name: triage}\n"
        "spec: {model: {uri: 'models:/triage/1'}, scaling: {minReplicas: 3}, access: {allow: []}}\n"
    )

    between = cli("deployments", "diff", "triage")
    with_file = cli("deployments", "diff", "triage", "-f", str(file))

    assert (
        between.out
        == """\
spec.scaling.minReplicas: 1 → 2
spec.access.allow[0]: team: web → –
"""
    )
    assert with_file.out == "spec.scaling.minReplicas: 2 → 3\n"


def test_rollback_says_what_is_served(cli: Any) -> None:
    cli.fake.answer(
        "POST", "/api/v1/deployments/triage/rollback", Answer(body={**DEPLOYMENT, "revision": 3})
    )

    done = cli("deployments", "rollback", "triage", "--revision", "1")

    assert done.out == "triage → sandbox: revision 3 serves triage/1\n"


def test_a_result_is_recorded_with_its_interval(cli: Any) -> None:
    cli.fake.answer("POST", "/api/v1/evaluations", Answer(201, EVALUATION))

    done = cli(
        "evaluations", "record", "triage/3", "--suite", "golden@7",
        "--metric", "accuracy=0.87:0.85:0.89", "--n", "600",
    )  # fmt: skip
    wrong = cli("evaluations", "record", "triage", "--suite", "golden")

    assert done.out == "triage/3 golden@7: accuracy 0.87    evl_1\n"
    assert cli.fake.calls[0].body["metrics"] == EVALUATION["metrics"]
    assert wrong.code == 2
