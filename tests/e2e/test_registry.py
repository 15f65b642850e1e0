"""The registry as a developer uses it: push, alias, deploy, pull; and models brought from outside."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import command_line
import httpx2
import obstore
import pytest
import seaweed
import towpath_up
from ports import free
from seaweed import Seaweed
from towpath_up import ROOT, Up

CHURN = ROOT / ".build" / "artifacts-test" / "churn"
SENTIMENT = ROOT / ".build" / "artifacts" / "sentiment-classifier"
COMMIT = "0123456789" * 4
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


def towpath(demo: Up, folder: Path, *arguments: str, stdin: str = "") -> str:
    """Run the CLI as the platform's administrator, and return what it printed."""
    done = command_line.towpath(demo, folder, *arguments, stdin=stdin)
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


@dataclass(frozen=True)
class Outside:
    """A platform, a bucket that it is told of, and the cache of the Hub's library beside it."""

    up: Up
    bucket: Seaweed
    folder: Path


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """Put the sentiment classifier into a bucket and into the cache, as the Hub's library does."""
    folder = tmp_path_factory.mktemp("outside")
    model, card = SENTIMENT / "model" / "model.onnx", SENTIMENT / "card.md"
    home = folder / "hub" / "models--acme--sentiment"
    snapshot = home / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (home / "blobs").mkdir()
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT)
    for name, source in (("model.onnx", model), ("README.md", card)):
        blob = hashlib.sha256(source.read_bytes()).hexdigest()
        shutil.copy(source, home / "blobs" / blob)
        (snapshot / name).symlink_to(Path("..", "..", "blobs", blob))
    environment = {
        "TOWPATH_SOURCES__HF_CACHE_DIR": str(folder / "hub"),
        "TOWPATH_SOURCES__HF_OFFLINE": "true",
    }
    with (
        seaweed.server() as bucket,
        towpath_up.running(folder / "up", environment=environment) as up,
    ):
        store = obstore.store.S3Store(
            bucket.bucket,
            endpoint=bucket.endpoint,
            access_key_id=bucket.access_key,
            secret_access_key=bucket.secret_key,
            client_options={"allow_http": True},
        )
        obstore.put(store, "models/sentiment/model.onnx", model)
        with up.api() as api:
            for path, body in (
                ("teams", {"name": "care"}),
                ("projects", {"team": "care", "name": "voices"}),
            ):
                api.post(f"{up.address}/api/v1/{path}", json=body).raise_for_status()
        yield Outside(up, bucket, folder)


def deployed(outside: Outside, name: str, uri: str) -> dict:
    """Deploy what a URI names by the CLI, until it is ready."""
    folder = outside.folder / name
    folder.mkdir()
    manifest = MANIFEST.replace("churn-champion", name).replace("demo/quickstart", "care/voices")
    manifest = manifest.replace("models:/churn-registry@champion", uri)
    (folder / "towpath.yaml").write_text(manifest, encoding="utf-8")
    return json.loads(towpath(outside.up, folder, "deploy", "--json"))


def test_a_model_of_a_bucket_is_deployed_by_its_uri_until_it_answers(outside: Outside) -> None:
    bucket = outside.bucket
    uri = f"s3://{bucket.bucket}/models/sentiment"
    towpath(
        outside.up, outside.folder, "connections", "create", "models", "--team", "care",
        "--location", f"s3://{bucket.bucket}/models/", "--endpoint", bucket.endpoint,
        "--username", bucket.access_key, "--credential-stdin", stdin=f"{bucket.secret_key}\n",
    )  # fmt: skip

    made = deployed(outside, "from-bucket", uri)

    content = (SENTIMENT / "model" / "model.onnx").read_bytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert (made["phase"], made["model"]["digest"]) == ("Ready", digest)
    assert made["manifest"]["spec"]["model"]["uri"] == "models:/from-bucket/1"
    said = towpath(outside.up, outside.folder, "models", "show", "from-bucket")
    assert uri in said
    assert bucket.secret_key not in said


def test_a_model_of_the_hubs_cache_is_deployed_without_the_hub(outside: Outside) -> None:
    made = deployed(outside, "from-hub", "hf://acme/sentiment")
    imported = towpath(
        outside.up, outside.folder, "models", "import", f"hf://acme/sentiment:{COMMIT}",
        "--name", "from-hub",
    )  # fmt: skip

    assert made["phase"] == "Ready"
    assert imported == "models:/from-hub/1\n"  # the branch was this commit
    listed = json.loads(towpath(outside.up, outside.folder, "imports", "list", "--json"))
    assert {one["pinned"] for one in listed["items"] if one["model"] == "from-hub"} == {
        f"hf://acme/sentiment:{COMMIT}"
    }
