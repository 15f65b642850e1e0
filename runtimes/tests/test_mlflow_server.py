"""The server for model folders of MLflow, with `MLmodel` files as MLflow 3.17 writes them."""

import shutil

import numpy as np
import pytest
import skops.io
from replicas import TEST_ARTIFACTS, prepared, refused, replica
from sklearn.linear_model import LogisticRegression

from towpath_runtimes.kserve.tensors import TensorSpec
from towpath_runtimes.listening import StartRefused
from towpath_runtimes.mlflow import folder

SKOPS = """
flavors:
  python_function:
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
    loader_module: mlflow.sklearn
    model_path: model.skops
    predict_fn: predict
  sklearn:
    code: null
    pickled_model: model.skops
    serialization_format: skops
    skops_trusted_types: null
mlflow_version: 3.17.2
"""
ONNX = """
flavors:
  onnx: {code: null, data: model.onnx, onnx_session_options: null}
  python_function: {data: model.onnx, loader_module: mlflow.onnx}
mlflow_version: 3.17.2
"""


@pytest.fixture
def logged(tmp_path):
    """Return a function that makes a model's folder."""

    def make(described):
        at = tmp_path / "m"
        at.mkdir()
        (at / "MLmodel").write_text(described)
        rows = np.array([[0.0, 1.0], [1.0, 0.0]])
        skops.io.dump(LogisticRegression().fit(rows, [0, 1]), at / "model.skops")
        return at

    return make


def test_a_model_of_the_flavour_onnx_is_served_as_its_file(logged, tmp_path):
    at = logged(ONNX)
    shutil.copy(prepared(TEST_ARTIFACTS / "churn") / "model" / "model.onnx", at)
    with replica("mlflow", at, f"unix:{tmp_path}/s.sock") as running, running.client() as http:
        told = http.get("/v2/models/subject").json()
        server = http.get("/v2").json()["name"]

    assert server == "towpath-mlflow"
    assert told["platform"] == "onnxruntime_onnx"
    assert [one["name"] for one in told["inputs"]] == ["age", "balance", "plan"]


def test_a_model_of_the_flavour_sklearn_is_served_where_skops_saved_it(logged):
    loaded = folder.load(logged(SKOPS), rows=8, together=1)

    assert loaded.platform == "sklearn"
    assert list(loaded.inputs) == [TensorSpec("x", "FP64", (-1, 2))]


def test_a_pickle_and_a_python_function_are_refused_by_their_flavours_with_the_fix(
    logged, tmp_path
):
    at = logged(SKOPS.replace("serialization_format: skops", "serialization_format: cloudpickle"))

    written = refused("mlflow", at, f"unix:{tmp_path}/s.sock")

    assert "has the flavours `python_function`, `sklearn`, and none of them is served" in written
    assert (
        'fix: log it with `mlflow.onnx`, or with `mlflow.sklearn` and `serialization_format="'
        in (written)
    )


@pytest.mark.parametrize(
    ("described", "said"),
    [
        (ONNX, "names `model.onnx`, and there is no such file"),
        (SKOPS.replace("pickled_model: model", "pickled_model: ../m/../../model"), "no such file"),
        ("flavors: []", "names no flavours"),
        ("flavors: {", "cannot be read"),
    ],
    ids=["missing", "outside", "none", "damaged"],
)
def test_a_folder_that_is_not_whole_is_refused(logged, described, said):
    with pytest.raises(StartRefused, match=said) as refusal:
        folder.load(logged(described), rows=8, together=1)

    assert refusal.value.fix
