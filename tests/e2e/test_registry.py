"""The registry as a developer uses it: push, alias, deploy, pull; and models taken over from MLflow."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from ports import free
from towpath_up import ADMIN_KEY, ROOT, Up

CHURN = ROOT / ".build" / "artifacts-test" / "churn"
MLFLOW = ROOT / ".build" / "mlflow" / "bin"
START_S = 120.0
MANIFEST = """
apiVersion: towpath.dev/v1alpha1
kind: ModelDeployment
metadata: {name: churn-champion, project: demo/quickstart}
spec:
  model: {uri: "models:/churn-registry@champion"}
  runtime: {name: onnx}
"""


def towpath(demo: Up, folder: Path, *arguments: str) -> str:
    """Run the CLI as the platform's administrator, and return what it printed."""
    home = {k: v for k, v in os.environ.items() if not k.startswith("TOWPATH_")}  # noqa: TID251
    done = subprocess.run(
        [Path(sys.prefix) / "bin" / "towpath", *arguments],
        cwd=folder,
        env={**home, "TOWPATH_ADDRESS": demo.address, "TOWPATH_API_KEY": ADMIN_KEY},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_is_pushed_is_deployed_by_its_alias_and_pulled_byte_for_byte(
    demo: Up, tmp_path: Path
) -> None:
    model = CHURN / "model" / "model.onnx"
    (tmp_path / "towpath.yaml").write_text(MANIFEST, encoding="utf-8")

    pushed = towpath(
        demo, tmp_path, "models", "push", str(model), "--name", "churn-registry", "--project",
        "demo/quickstart", "--signature", str(CHURN / "signature.json"), "--licence", "mit",
    )  # fmt: skip
    towpath(
        demo,
        tmp_path,
        "models",
        "alias",
        "churn-registry",
        "champion",
        "1",
        "--reason",
        "the first",
    )
    deployed = json.loads(towpath(demo, tmp_path, "deploy", "--json"))
    towpath(demo, tmp_path, "models", "pull", "churn-registry@champion", "here")

    assert pushed == "models:/churn-registry/1\n"
    assert deployed["phase"] == "Ready"
    assert deployed["manifest"]["spec"]["model"]["uri"] == "models:/churn-registry/1"
    digest = f"sha256:{hashlib.sha256(model.read_bytes()).hexdigest()}"
    assert deployed["model"] == {"name": "churn-registry", "version": 1, "digest": digest}
    assert (tmp_path / "here" / "model.onnx").read_bytes() == model.read_bytes()


@dataclass(frozen=True)
class Tracking:
    """A tracking server with models in it."""

    url: str
    run: str
    artifacts: Path


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    """Start a real tracking server, and register models with it by MLflow's own client."""
    assert (MLFLOW / "mlflow").exists(), "MLflow is not installed: `make test` installs it"
    folder = tmp_path_factory.mktemp("mlflow")
    (port,) = free(1)
    url = f"http://127.0.0.1:{port}"
    env = {
        "PATH": f"{MLFLOW}:{os.environ['PATH']}",  # noqa: TID251
        "HOME": str(folder),
        "DO_NOT_TRACK": "true",
    }
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [
                MLFLOW / "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
                "--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
                "--artifacts-destination", folder / "artifacts",
            ],
            cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        transport = httpx2.HTTPTransport(retries=9)  # each waits twice as long as the one before
        with httpx2.Client(transport=transport, timeout=START_S, trust_env=False) as client:
            client.get(f"{url}/health").raise_for_status()
        logged = subprocess.run(
            [MLFLOW / "python", ROOT / "tests" / "mlflow" / "log_models.py", url],
            cwd=folder, env=env, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert logged.returncode == 0, logged.stderr
        yield Tracking(url, logged.stdout.splitlines()[-1].strip(), folder / "artifacts")
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def imported(demo: Up, folder: Path, tracking: Tracking, source: str) -> dict:
    """Take a model over, and return its version."""
    said = towpath(
        demo, folder, "models", "import", source, "--tracking-uri", tracking.url, "--project",
        "demo/quickstart", "--json",
    )  # fmt: skip
    return json.loads(said)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_models_of_mlflow_are_taken_over_with_run_tags_and_signature(
    demo: Up, tracking: Tracking, tmp_path: Path
) -> None:
    onnx = imported(demo, tmp_path, tracking, "mlflow:triage_onnx@champion")
    skops = imported(demo, tmp_path, tracking, "mlflow:triage-skops/1")
    pickled = imported(demo, tmp_path, tracking, "mlflow:triage-cloudpickle/1")
    towpath(demo, tmp_path, "models", "pull", "triage-onnx", "here")

    assert (onnx["model"], onnx["format"], onnx["tags"]) == (
        "triage-onnx",
        "onnx",
        {"stage": "trial"},
    )
    assert onnx["lineage"]["run"] == tracking.run
    assert onnx["lineage"]["source"] == "mlflow:triage_onnx/1"
    assert onnx["lineage"]["details"]["metrics"] == {"accuracy": 0.86}
    assert onnx["signature"]["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    kept = next(tracking.artifacts.rglob("model.onnx"))
    assert (tmp_path / "here" / "model.onnx").read_bytes() == kept.read_bytes()
    assert (skops["format"], [file["path"] for file in skops["files"]]) == (
        "sklearn",
        ["model.skops"],
    )
    assert (pickled["format"], pickled["carries_code"]) == ("mlflow", True)
    assert "MLmodel" in {file["path"] for file in pickled["files"]}
