"""A team with a real model in a folder, and the CLI as any of its people."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import psutil
import yaml
from command_line import towpath
from towpath_up import ADMIN_KEY, ARTIFACTS, Up, eventually

MODEL = ARTIFACTS / "sentiment-classifier"
GATE = {"suite": "sentiment-golden@1", "metric": "accuracy", "minimum": 0.75}


def asking(label: str = "positive") -> dict[str, Any]:
    """Return a smoke test that expects a label."""
    return {
        "name": "likes it",
        "request": {"inputs": ["I love this, it is wonderful"]},
        "expect": {
            "jsonPath": {"$.outputs[0].label": label, "$.outputs[0].score": {"minimum": 0.5}},
            "maxLatency": "20s",
        },
    }


class Journey:
    """One platform, and a folder with a model and its manifest."""

    def __init__(self, up: Up, folder: Path) -> None:
        self.up = up
        self.folder = folder
        shutil.copytree(MODEL / "model", folder / "model")
        shutil.copy(MODEL / "signature.json", folder)
        with up.api() as api:
            for path, body in (
                ("/teams", {"name": "care"}),
                ("/projects", {"team": "care", "name": "mood"}),
            ):
                assert api.post(path, json=body).status_code == 201
            key = {"project": "care/mood", "environment": "sandbox", "name": "caller"}
            self.key = api.post("/keys", json=key).json()["key"]

    def write(self, name: str = "mood", **spec: Any) -> None:
        """Write the manifest."""
        document = {
            "apiVersion": "towpath.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {
                "name": name,
                "project": "care/mood",
                "annotations": {"licence": "MIT"},  # production asks for one
            },
            "spec": {
                "model": {"uri": "file:./model", "format": "onnx"},
                "runtime": {"name": "onnx"},
                "resources": {"requests": {"memory": "256Mi"}},
                **spec,
            },
        }
        (self.folder / "towpath.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")

    def person(self, name: str, role: str) -> str:
        """Make somebody of the team; returns their token."""
        with self.up.api() as api:
            user = api.post("/users", json={"name": name, "email": f"{name}@towpath.test"}).json()
            body = {"team": "care", "user": user["id"], "role": role}
            assert api.post("/members", json=body).status_code == 201
            return str(
                api.post(f"/users/{user['id']}/tokens", json={"name": "cli"}).json()["token"]
            )

    def cli(self, *arguments: str, key: str = ADMIN_KEY) -> subprocess.CompletedProcess[str]:
        """Run the CLI, as the platform's administrator where nothing else is said."""
        return towpath(self.up, self.folder, *arguments, key=key)

    def get(self, name: str = "mood", environment: str | None = None) -> Any:
        """Return the deployment, once the API can tell."""
        found: list[Any] = []
        where = {"environment": environment} if environment else {}

        def tells() -> bool:
            with self.up.api() as api:
                try:
                    answer = api.get(f"/deployments/{name}", params=where)
                except httpx2.HTTPError:
                    return False
            if answer.status_code == 200:
                found.append(answer.json())
            return answer.status_code == 200

        eventually(tells, f"answer about {name}", within_s=60)
        return found[-1]

    def until(
        self, holds: Any, what: str, name: str = "mood", environment: str | None = None
    ) -> Any:
        """Wait until the deployment is as it should be."""
        eventually(lambda: holds(self.get(name, environment)), what, within_s=120)
        return self.get(name, environment)

    def label(self) -> str:
        """Ask the endpoint as a program does."""
        answer = httpx2.post(
            f"{self.up.address}/v1/models/mood/predict",
            json={"inputs": ["I hate this, it is awful"]},
            headers={"authorization": f"Bearer {self.key}"},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["outputs"][0]["label"])

    def models(self) -> list[psutil.Process]:
        """List the model servers' processes."""
        found = []
        for process in self.up.own_processes():
            try:
                if "TOWPATH_REPLICA" in process.environ():
                    found.append(process)
            except psutil.Error:
                continue
        return found


def is_ready(one: Any) -> bool:
    return one["phase"] == "Ready" and one["serving_revision"] == one["revision"]


def nothing_is_left(journey: Journey) -> None:
    """Wait until no deployment, endpoint, process or folder of a replica is left."""

    def gone() -> bool:
        with journey.up.api() as api:
            try:
                return api.get("/deployments").json()["items"] == []
            except (httpx2.HTTPError, ValueError, KeyError):
                return False

    eventually(gone, "end of the deployment", within_s=60)
    with journey.up.api() as api:
        assert api.get("/endpoints").json()["items"] == []
    eventually(lambda: journey.models() == [], "end of the model servers")
    left = [one for one in (journey.up.data / "replicas").glob("*") if one.is_dir()]
    assert left == []
