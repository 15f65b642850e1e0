"""The server for scikit-learn models: real ones, saved by skops and asked over HTTP."""

import json
import os
import pickle

import numpy as np
import pandas as pd
import pytest
import skops.io
from replicas import TEST_ARTIFACTS, prepared, refused, replica
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from towpath_runtimes.kserve.tensors import TensorSpec
from towpath_runtimes.listening import StartRefused
from towpath_runtimes.sklearn import folder

INFER = "/v2/models/subject/infer"
ROWS = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [-1.0, 0.0]])
SIDES = np.array(["left", "right", "right", "left"])
TABLE = pd.DataFrame({"age": [20, 30, 60, 70], "plan": ["basic", "basic", "pro", "pro"]})
TABLE_SIGNATURE = {
    "inputs": [
        {"name": "age", "datatype": "INT64", "shape": [-1]},
        {"name": "plan", "datatype": "BYTES", "shape": [-1]},
    ],
    "outputs": [
        {"name": "predict", "datatype": "BYTES", "shape": [-1]},
        {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]},
    ],
}


def table_model():
    columns = make_column_transformer((StandardScaler(), ["age"]), (OneHotEncoder(), ["plan"]))
    return make_pipeline(columns, LogisticRegression()).fit(TABLE, SIDES[[0, 0, 1, 1]])


def saved(at, model, signature=None):
    """Save a fitted model as users do, and return its folder."""
    at.mkdir(exist_ok=True)
    skops.io.dump(model, at / "model.skops")
    if signature is not None:
        (at / "signature.json").write_text(json.dumps(signature))
    return at


def tensor(name, datatype, shape, data):
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def outputs(response):
    assert response.status_code == 200, response.text
    return {one["name"]: one["data"] for one in response.json()["outputs"]}


def test_a_classifier_says_what_it_takes_by_itself_and_answers_each_row(tmp_path):
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, SIDES)
    at = saved(tmp_path / "m", model)
    with replica("sklearn", at, f"unix:{tmp_path}/s.sock", "--batch-rows=8") as running:
        with running.client() as http:
            told = http.get("/v2/models/subject").json()
            x = tensor("x", "FP64", [4, 2], ROWS.tolist())
            found = outputs(http.post(INFER, json={"inputs": [x]}))
            narrow = http.post(INFER, json={"inputs": [tensor("x", "FP64", [1, 1], [1.0])]})
        code = running.stop()

    assert told["platform"] == "sklearn"
    assert told["inputs"] == [{"name": "x", "datatype": "FP64", "shape": [-1, 2]}]
    assert told["outputs"] == [{"name": "predict", "datatype": "BYTES", "shape": [-1]}]
    assert found["predict"] == model.predict(ROWS).tolist()
    assert narrow.status_code == 400
    assert "input `x` has shape [1, 1], the model takes [-1, 2]" in narrow.json()["error"]
    assert code == 0


def test_a_table_is_taken_by_its_columns_and_outputs_are_the_methods_that_are_named(tmp_path):
    model = table_model()
    at = saved(tmp_path / "m", model, TABLE_SIGNATURE)
    inputs = [
        tensor("plan", "BYTES", [2], ["pro", "basic"]),
        tensor("age", "INT64", [2], [66, 21]),
    ]
    with replica("sklearn", at, f"unix:{tmp_path}/s.sock") as running, running.client() as http:
        found = outputs(http.post(INFER, json={"inputs": inputs}))
        unknown = [tensor("plan", "BYTES", [1], ["gold"]), tensor("age", "INT64", [1], [66])]
        refusal = http.post(INFER, json={"inputs": unknown})

    asked = pd.DataFrame({"age": [66, 21], "plan": ["pro", "basic"]})
    assert found["predict"] == model.predict(asked).tolist() == ["right", "left"]
    assert np.allclose(np.reshape(found["predict_proba"], (2, 2)), model.predict_proba(asked))
    assert refusal.status_code == 400
    assert "the model refused the inputs: Found unknown categories" in refusal.json()["error"]


def test_what_was_exported_to_onnx_is_served_as_that(tmp_path):
    at = prepared(TEST_ARTIFACTS / "churn") / "model"
    inputs = [
        tensor("age", "INT64", [1], [22]),
        tensor("balance", "FP32", [1], [10.5]),
        tensor("plan", "BYTES", [1], ["basic"]),
    ]
    with replica("sklearn", at, f"unix:{tmp_path}/s.sock") as running, running.client() as http:
        found = outputs(http.post(INFER, json={"inputs": inputs}))

    assert found["label"] == ["leaves"]


@pytest.mark.parametrize(
    ("model", "inputs", "output"),
    [
        (
            RandomForestRegressor(3).fit(ROWS, [1.0, 2.0, 3.0, 4.0]),
            [TensorSpec("x", "FP64", (-1, 2))],
            "FP64",
        ),
        (
            LogisticRegression().fit(TABLE[["age"]], [0, 0, 1, 1]),
            [TensorSpec("age", "FP64", (-1,))],
            "INT64",
        ),
        (
            make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(
                ["good day", "bad day", "good night", "bad night"], [True, False, True, False]
            ),
            [TensorSpec("text", "BYTES", (-1,))],
            "BOOL",
        ),
    ],
    ids=["forest", "columns", "text"],
)
def test_the_signature_is_read_from_the_estimator(tmp_path, model, inputs, output):
    loaded = folder.load(saved(tmp_path / "m", model), rows=8, together=1)

    assert list(loaded.inputs) == inputs
    assert list(loaded.outputs) == [TensorSpec("predict", output, (-1,))]


def test_a_model_that_makes_objects_of_other_types_is_refused_by_their_names(tmp_path):
    model = make_pipeline(FunctionTransformer(os.listdir), LogisticRegression())
    at = saved(tmp_path / "m", model)

    written = refused("sklearn", at, f"unix:{tmp_path}/s.sock")

    assert "makes objects of types that are not trusted" in written
    assert "posix.listdir" in written
    assert "fix: export the model to ONNX" in written


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda at: saved(at, table_model()), "does not say what its inputs and outputs are"),
        (
            lambda at: saved(at, KMeans(2, n_init=1).fit(ROWS)),
            "does not say what its inputs and outputs are",
        ),
        (
            lambda at: saved(at, RandomForestRegressor(2).fit(ROWS, [1, 2, 3, 4]), TABLE_SIGNATURE),
            "the model has no method `predict_proba`",
        ),
        (
            lambda at: saved(at, LogisticRegression().fit(ROWS, SIDES), {"inputs": []}),
            "the model's signature has no `inputs`",
        ),
        (lambda at: (at / "model.skops").write_bytes(b"PK none"), "cannot be loaded"),
        (lambda at: (at / "model.pkl").write_bytes(pickle.dumps(3)), "holds 0 scikit-learn models"),
    ],
    ids=["table", "clusters", "method", "inputs", "damaged", "pickle"],
)
def test_what_cannot_be_served_is_refused_with_a_fix(tmp_path, make, said):
    at = tmp_path / "m"
    at.mkdir()
    make(at)

    with pytest.raises(StartRefused, match=said) as refusal:
        folder.load(at, rows=8, together=1)

    assert refusal.value.fix


def test_a_regressor_of_several_numbers_must_say_so(tmp_path):
    """Its class tells that it predicts a number; how many, it shows when it is asked."""
    model = RandomForestRegressor(2).fit(ROWS, ROWS)

    with pytest.raises(StartRefused, match="does not answer as it says: the model's output"):
        folder.load(saved(tmp_path / "m", model), rows=8, together=1)
