"""Models of several typed inputs, deployed by the CLI and called through their signature."""

import json
import re
import shutil
from pathlib import Path

import httpx2
import numpy as np
import pytest
import skops.io
from command_line import towpath
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from towpath_up import ROOT, Up

CHURN = ROOT / ".build" / "artifacts-test" / "churn"
MANIFEST = """
apiVersion: towpath.dev/v1alpha1
kind: ModelDeployment
metadata: {name: churn, project: demo/quickstart}
spec:
  model: {uri: "file:./model.onnx", format: onnx}
  runtime: {name: onnx}
  access: {visibility: organization}
"""


@pytest.fixture(scope="module")
def churn(demo: Up, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Deploy the model; return its endpoint's name."""
    folder = tmp_path_factory.mktemp("churn")
    shutil.copy(CHURN / "model" / "model.onnx", folder)
    shutil.copy(CHURN / "signature.json", folder)
    (folder / "towpath.yaml").write_text(MANIFEST, encoding="utf-8")
    done = towpath(demo, folder, "deploy")
    assert done.returncode == 0, done.stdout + done.stderr
    return "churn"


def test_typed_inputs_are_predicted_in_their_order(demo: Up, churn: str) -> None:
    young = {"age": 19, "balance": 120.5, "plan": "basic"}
    old = {"age": 71, "balance": 9_800.0, "plan": "pro"}
    with demo.api(demo.demo_key) as api:
        answer = api.post(
            f"{demo.address}/v1/models/{churn}/predict", json={"inputs": [young, old, young]}
        )

    assert answer.status_code == 200, answer.text
    assert [o["label"] for o in answer.json()["outputs"]] == ["leaves", "stays", "leaves"]


def test_an_input_of_the_wrong_type_is_named_with_its_place(demo: Up, churn: str) -> None:
    whole = {"age": 30, "balance": 1.0, "plan": "basic"}
    with demo.api(demo.demo_key) as api:
        answer = api.post(
            f"{demo.address}/v1/models/{churn}/predict",
            json={"inputs": [whole, {**whole, "age": "thirty"}]},
        )

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "inputs[1].age" in answer.text
    assert answer.json()["fix"]


SUMS = """
import os


class Model:
    def load(self, folder):
        self.offset = float((folder / "offset.txt").read_text())

    def predict(self, inputs):
        if (inputs["x"] > 1e6).any():
            os._exit(3)
        return {"sum": inputs["x"].sum(axis=1) + self.offset}
"""
SUMS_SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "sum", "datatype": "FP32", "shape": [-1]}],
}


def test_a_python_class_is_served_and_what_ends_its_process_costs_one_call(
    demo: Up, tmp_path: Path
) -> None:
    """Deployed from a folder, shut in as every model server is, the signature out of the folder."""
    folder = tmp_path / "sums"
    folder.mkdir()
    (folder / "model.py").write_text(SUMS, encoding="utf-8")
    (folder / "offset.txt").write_text("10", encoding="utf-8")
    (folder / "signature.json").write_text(json.dumps(SUMS_SIGNATURE), encoding="utf-8")
    manifest = MANIFEST.replace("churn", "sums").replace("{name: onnx}", "{name: python}")
    manifest = manifest.replace("./model.onnx", "./sums").replace("format: onnx", "format: python")
    (tmp_path / "towpath.yaml").write_text(manifest, encoding="utf-8")

    done = towpath(demo, tmp_path, "deploy")
    assert done.returncode == 0, done.stdout + done.stderr
    with demo.api(demo.demo_key) as api:

        def ask(*x: float) -> httpx2.Response:
            at = f"{demo.address}/v1/models/sums/predict"
            return api.post(at, json={"inputs": [{"x": list(x)}]})

        before, ended, after = ask(1, 2), ask(1e7, 0), ask(3, 4)

    assert before.json()["outputs"] == [{"sum": 13.0}], before.text
    assert ended.status_code in {500, 502}
    assert after.json()["outputs"] == [{"sum": 17.0}], after.text


STREAMED = """
apiVersion: towpath.dev/v1alpha1
kind: ModelDeployment
metadata: {name: smollm2-streamed, project: demo/quickstart}
spec:
  model: {uri: "models:/smollm2/1"}
  runtime: {name: llama.cpp, args: [--context-length=512]}
  access: {visibility: project}
  smokeTests:
    - name: streams
      request: {messages: [{role: user, content: "Say hello."}], max_tokens: 4}
      stream: true
      expect:
        firstChunkWithin: 60s
        jsonPath: {"$[0].object": chat.completion.chunk}
"""


def test_a_chat_model_takes_traffic_only_where_its_stream_begins_in_time(
    demo: Up, tmp_path: Path
) -> None:
    """No llama.cpp answers within a millisecond, and what serves goes on serving."""

    def deployed(text: str) -> tuple[int, dict, dict]:
        (tmp_path / "towpath.yaml").write_text(text, encoding="utf-8")
        done = towpath(demo, tmp_path, "deploy", "--json")
        found = json.loads(done.stdout)
        (proved,) = (one for one in found["conditions"] if one["type"] == "SmokeTested")
        return done.returncode, found, proved

    try:
        code, ready, proved = deployed(STREAMED)
        late, held, slow = deployed(STREAMED.replace("60s", "1ms"))
    finally:
        towpath(demo, tmp_path, "deployments", "delete", "smollm2-streamed")

    assert (code, ready["phase"], proved["status"]) == (0, "Ready", "True"), proved
    assert re.search(
        r"streams \([0-9]+ ms, its first event after [0-9]+ ms\)", proved["message"]
    ), proved
    assert (late, held["serving_revision"], slow["status"]) == (1, 1, "False"), slow
    assert "`firstChunkWithin`" in slow["message"]
    assert "at most 1 ms is expected" in slow["message"]


def test_a_scikit_learn_model_is_served_with_the_signature_of_its_own(
    demo: Up, tmp_path: Path
) -> None:
    """One skops file: what it takes and gives is read from it, by the platform and by its server."""
    rows = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [-1.0, 0.0]])
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, list("lrrl"))
    skops.io.dump(model, tmp_path / "sides.skops")
    manifest = MANIFEST.replace("churn", "sides").replace("name: onnx", "name: sklearn")
    manifest = manifest.replace("model.onnx", "sides.skops").replace(
        "format: onnx", "format: sklearn"
    )
    (tmp_path / "towpath.yaml").write_text(manifest, encoding="utf-8")

    done = towpath(demo, tmp_path, "deploy")
    assert done.returncode == 0, done.stdout + done.stderr
    with demo.api(demo.demo_key) as api:
        at = f"{demo.address}/v1/models/sides/predict"
        answer = api.post(at, json={"inputs": [{"x": row} for row in rows.tolist()]})
        narrow = api.post(at, json={"inputs": [{"x": [1.0]}]})

    assert answer.json()["outputs"] == [{"predict": side} for side in "lrrl"], answer.text
    assert narrow.status_code == 400
    assert "inputs[0].x" in narrow.text


MLMODEL = """
flavors:
  onnx: {code: null, data: model.onnx, onnx_session_options: null}
  python_function: {data: model.onnx, loader_module: mlflow.onnx}
mlflow_version: 3.17.2
"""


def test_a_model_folder_of_mlflow_is_served_by_its_flavour_and_a_pickle_in_it_is_refused(
    demo: Up, tmp_path: Path
) -> None:
    folder = tmp_path / "flow"
    folder.mkdir()
    shutil.copy(CHURN / "model" / "model.onnx", folder)
    (folder / "MLmodel").write_text(MLMODEL, encoding="utf-8")
    manifest = MANIFEST.replace("churn", "flow").replace("{name: onnx}", "{name: mlflow}")
    manifest = manifest.replace("./model.onnx", "./flow").replace("format: onnx", "format: mlflow")
    (tmp_path / "towpath.yaml").write_text(manifest, encoding="utf-8")

    done = towpath(demo, tmp_path, "deploy")
    assert done.returncode == 0, done.stdout + done.stderr
    row = {"age": 19, "balance": 120.5, "plan": "basic"}
    with demo.api(demo.demo_key) as api:
        answer = api.post(f"{demo.address}/v1/models/flow/predict", json={"inputs": [row]})
    (folder / "MLmodel").write_text(
        MLMODEL.replace("mlflow.onnx", "mlflow.pyfunc.model"), encoding="utf-8"
    )
    code = towpath(demo, tmp_path, "deploy")

    assert [one["label"] for one in answer.json()["outputs"]] == ["leaves"], answer.text
    assert code.returncode == 1
    assert "`mlflow.pyfunc.model`" in code.stderr
    assert "`mlflow` is not made for that" in code.stderr


def test_a_manifest_with_a_typo_is_refused_with_the_line_and_the_right_word(
    demo: Up, tmp_path: Path
) -> None:
    text = MANIFEST.replace("visibility:", "visibilty:").replace("file:./model.onnx", "models:/x/1")
    (tmp_path / "towpath.yaml").write_text(text, encoding="utf-8")

    done = towpath(demo, tmp_path, "deploy")

    assert done.returncode == 1
    assert "towpath.yaml:8" in done.stderr
    assert "did you mean" in done.stderr.lower()
    assert "visibility" in done.stderr


def test_a_missing_artifact_is_refused_before_anything_is_sent(demo: Up, tmp_path: Path) -> None:
    (tmp_path / "towpath.yaml").write_text(MANIFEST, encoding="utf-8")

    done = towpath(demo, tmp_path, "deploy", "--json")

    assert done.returncode == 1
    assert "model.onnx" in done.stderr
    assert json.loads(done.stdout or "{}") == {}
