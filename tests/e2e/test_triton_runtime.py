"""A model deployed on a real Triton answers as it does on the runtime `onnx`, by every way to call it."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import artifacts
import numpy as np
import pytest
import towpath_up
import triton
import yaml
from command_line import towpath
from towpath_up import ROOT, Up
from tritonclient import grpc, http

pytestmark = pytest.mark.skipif(not triton.AVAILABLE, reason="no Triton for this machine")

CHURN = ROOT / ".build" / "artifacts-test" / "churn"
DESCRIPTION = ROOT / "runtimes" / "src" / "towpath_runtimes" / "descriptions" / "triton.yaml"
MANIFEST = """
apiVersion: towpath.dev/v1alpha1
kind: ModelDeployment
metadata: {name: churn-NAME, project: vision/churn}
spec:
  model: {uri: "file:./model.onnx", format: onnx}
  runtime: {name: NAME}
  access: {visibility: organization}
"""
ROWS = {
    "age": ("INT64", np.array([19, 71, 44], dtype=np.int64)),
    "balance": ("FP32", np.array([120.5, 9_800.0, -3.25], dtype=np.float32)),
    "plan": ("BYTES", np.array(["basic", "pro", "basic"], dtype=object)),
}


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    """A platform that knows where a Triton is, and has the same model on it and on `onnx`."""
    folder = tmp_path_factory.mktemp("triton-runtime")
    runtimes = folder / "runtimes"
    runtimes.mkdir()
    (runtimes / "triton.yaml").write_text(described(folder / "opt"), encoding="utf-8")
    with towpath_up.running(folder, environment={"TOWPATH_RUNTIMES_DIR": str(runtimes)}) as found:
        with found.api() as api:
            for path, body in (
                ("/teams", {"name": "vision"}),
                ("/projects", {"team": "vision", "name": "churn"}),
            ):
                assert api.post(path, json=body).status_code == 201
        for name in ("onnx", "triton"):
            deploy(found, folder, name)
        yield found


@pytest.fixture(scope="module")
def key(up: Up) -> str:
    with up.api() as api:
        asked = {"project": "vision/churn", "environment": "sandbox", "name": "caller"}
        return api.post("/keys", json=asked).json()["key"]


def described(folder: Path) -> str:
    """Describe the Triton of the tests: the description that is shipped, with its place."""
    folder.mkdir()
    server, libraries = triton.installed(folder)
    text = DESCRIPTION.read_text(encoding="utf-8").replace("/opt/tritonserver", str(server))
    document = yaml.safe_load(text)
    document["spec"]["env"] = {"LD_LIBRARY_PATH": libraries}
    document["spec"]["files"].append(str(triton.INSTALLED.resolve()))
    return yaml.safe_dump(document)


def deploy(up: Up, folder: Path, runtime: str) -> None:
    place = folder / runtime
    place.mkdir()
    shutil.copy(CHURN / "model" / "model.onnx", place)
    shutil.copy(CHURN / "signature.json", place)
    (place / "towpath.yaml").write_text(MANIFEST.replace("NAME", runtime), encoding="utf-8")
    done = towpath(up, place, "deploy")
    assert done.returncode == 0, done.stdout + done.stderr


def inferred(module, up: Up, key: str, name: str) -> dict[str, list]:
    """Call a model by Triton's own client of one form; return its outputs."""
    inputs = []
    for tensor, (datatype, values) in ROWS.items():
        made = module.InferInput(tensor, list(values.shape), datatype)
        made.set_data_from_numpy(values)
        inputs.append(made)
    address = up.address.removeprefix("http://")
    with module.InferenceServerClient(address) as client:
        answer = client.infer(name, inputs, headers={"authorization": f"Bearer {key}"})
    return {name: answer.as_numpy(name).tolist() for name in ("label", "probability")}


@pytest.mark.parametrize("module", [http, grpc], ids=["http", "grpc"])
def test_tensors_are_answered_as_by_onnx(up: Up, key: str, module) -> None:
    assert inferred(module, up, key, "churn-triton") == inferred(module, up, key, "churn-onnx")


def test_a_prediction_is_answered_as_by_onnx(up: Up, key: str) -> None:
    rows = [{name: values.tolist()[at] for name, (_, values) in ROWS.items()} for at in range(3)]
    with up.api(key) as api:
        answers = {
            name: api.post(
                f"{up.address}/v1/models/churn-{name}/predict", json={"inputs": rows}
            ).json()["outputs"]
            for name in ("onnx", "triton")
        }

    assert answers["triton"] == answers["onnx"]
    assert [one["label"] for one in answers["triton"]][:2] == ["leaves", "stays"]


def test_calls_that_triton_joins_have_each_its_own_rows(up: Up, key: str, tmp_path: Path) -> None:
    """Sixteen calls at a time, of one to three rows, which may be joined; the model returns its input."""
    (tmp_path / "model.onnx").write_bytes(artifacts.onnx())
    text = MANIFEST.replace("churn-NAME", "joined").replace(
        "{name: NAME}", "{name: triton, args: [--batch-rows=8, --batch-delay-ms=20]}"
    )
    (tmp_path / "towpath.yaml").write_text(text, encoding="utf-8")
    done = towpath(up, tmp_path, "deploy")
    assert done.returncode == 0, done.stdout + done.stderr
    asked = [[[number, row, 0.5, -1.0] for row in range(number % 3 + 1)] for number in range(48)]

    def ask(rows: list[list[float]]) -> list[list[float]]:
        at = f"{up.address}/v1/models/joined/predict"
        with up.api(key) as api:
            answer = api.post(at, json={"inputs": [{"x": row} for row in rows]})
        assert answer.status_code == 200, answer.text
        return [one["y"] for one in answer.json()["outputs"]]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, asked))

    assert answers == asked
