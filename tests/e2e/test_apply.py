"""A folder is the truth: applied, applied again, changed, and pruned."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_line import towpath
from towpath_up import ROOT, Up

CHURN = ROOT / ".build" / "artifacts-test" / "churn"
DECLARED = """
apiVersion: towpath.dev/v1alpha1
kind: Team
metadata: {name: apply}
spec: {weight: 2}
---
apiVersion: towpath.dev/v1alpha1
kind: Project
metadata: {team: apply, name: all}
---
apiVersion: towpath.dev/v1alpha1
kind: Quota
spec: {team: apply, environment: sandbox, replicas: 4, memory: 8Gi}
---
apiVersion: towpath.dev/v1alpha1
kind: Member
spec: {team: apply, user: apply@example.com, role: developer}
---
apiVersion: towpath.dev/v1alpha1
kind: Model
metadata: {name: apply-churn, project: apply/all}
spec: {description: Who leaves., visibility: team, tags: {suite: churn}}
---
apiVersion: towpath.dev/v1alpha1
kind: Policy
metadata: {name: apply-named, description: Says who owns it.}
spec:
  mode: warn
  validations:
    - expression: "has(manifest.metadata.annotations)"
      message: nobody is named
      fix: Write `annotations.owner`.
---
apiVersion: towpath.dev/v1alpha1
kind: Application
metadata: {project: apply/all, name: web}
spec: {owner: care, contact: "#care"}
---
apiVersion: towpath.dev/v1alpha1
kind: Provider
metadata: {name: apply-vendor}
spec:
  dialect: openai
  base_url: http://127.0.0.1:9/v1
  credential: sk-apply
  max_data_class: internal
  models: [{name: large, prices: [{input_per_million: "1.5", output_per_million: "2"}]}]
---
apiVersion: towpath.dev/v1alpha1
kind: Endpoint
metadata: {name: apply-chat, project: apply/all}
spec:
  environment: sandbox
  targets: [{provider: apply-vendor, model: large, weight: 1}]
  access: {visibility: team}
  timeouts: {first_byte: 20s}
---
apiVersion: towpath.dev/v1alpha1
kind: Limit
spec: {project: apply/all, requests_per_minute: 600, concurrency: 8}
---
apiVersion: towpath.dev/v1alpha1
kind: Limit
spec: {team: apply, requests_per_second: {limit: 50, burst: 5}}
---
apiVersion: towpath.dev/v1alpha1
kind: Budget
spec: {project: apply/all, period: month, mode: soft, cost: "250.00"}
"""
MANIFEST = """
apiVersion: towpath.dev/v1alpha1
kind: ModelDeployment
metadata: {name: apply-churn, project: apply/all}
spec:
  model: {uri: "file:./model.onnx", format: onnx}
  runtime: {name: onnx}
  resources: {requests: {cpu: 1, memory: 256Mi}}
---
apiVersion: towpath.dev/v1alpha1
kind: Alias
spec: {model: apply-churn, alias: champion, version: 1, reason: The first one.}
"""


def planned(demo: Up, folder: Path, *more: str) -> list[dict[str, Any]]:
    done = towpath(demo, folder, "apply", "-f", ".", "--diff", "--json", *more)
    assert done.returncode in {0, 3}, done.stdout + done.stderr
    items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    assert (done.returncode == 3) == bool(items)
    return items


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that declares one thing of every kind."""
    (tmp_path / "all.yaml").write_text(DECLARED, encoding="utf-8")
    model = tmp_path / "churn"
    model.mkdir()
    shutil.copy(CHURN / "model" / "model.onnx", model)
    shutil.copy(CHURN / "signature.json", model)
    (model / "towpath.yaml").write_text(MANIFEST, encoding="utf-8")
    return tmp_path


def test_a_folder_is_applied_once_changed_where_it_differs_and_pruned(
    demo: Up, folder: Path
) -> None:
    person = towpath(
        demo, folder, "users", "create", "Apply Member", "--email", "apply@example.com"
    )
    assert person.returncode == 0, person.stderr
    # A project must be there before a model can be uploaded to it.
    first = towpath(demo, folder, "apply", "-f", "all.yaml")
    assert first.returncode == 0, first.stdout + first.stderr
    again = planned(demo, folder)
    assert [(a["verb"], a["kind"], a["changes"]) for a in again] == [
        ("create", "Alias", []),
        ("create", "ModelDeployment", []),
    ]
    second = towpath(demo, folder, "apply", "-f", ".")
    assert second.returncode == 0, second.stdout + second.stderr
    assert planned(demo, folder) == []

    text = (folder / "all.yaml").read_text(encoding="utf-8")
    changed = text.replace("requests_per_minute: 600", "requests_per_minute: 900")
    kept, _, _ = changed.rpartition("---\n")  # without the budget
    (folder / "all.yaml").write_text(kept, encoding="utf-8")
    (folder / "churn" / "towpath.yaml").unlink()

    acts = planned(demo, folder, "--prune")
    assert [(act["verb"], act["kind"]) for act in acts] == [
        ("change", "Limit"),
        ("delete", "Budget"),
        ("delete", "ModelDeployment"),
    ]
    done = towpath(demo, folder, "apply", "-f", ".", "--prune", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    left = [act for act in planned(demo, folder, "--prune") if act["kind"] != "ModelDeployment"]
    assert left == []
