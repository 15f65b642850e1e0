"""
Train a model with inputs of several types, for the tests: who will leave a bank?

The customers are made up by `customers`, with rules that a model can find, so nobody's data is in
it.

    python churn.py --out DIR
"""

import argparse
import json
from pathlib import Path

import graphs
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

PLANS = np.array(["basic", "plus", "pro"], dtype=np.object_)
SEED = 7
CUSTOMERS = 4_000
HELD_OUT = 1_000
Table = dict[str, np.ndarray]


def customers(count: int, *, seed: int) -> tuple[Table, np.ndarray]:
    """Make up customers: young ones with little money on the basic plan leave more often."""
    random = np.random.default_rng(seed)
    age = random.integers(18, 90, count)
    balance = random.gamma(2.0, 2_000.0, count).astype(np.float32)
    plan = random.integers(0, len(PLANS), count)
    leaning = 1.5 - 0.04 * (age - 40) - balance / 2_500 - 0.9 * plan + random.logistic(0, 1, count)
    columns = {"age": age.astype(np.int64), "balance": balance, "plan": PLANS[plan]}
    return columns, np.where(leaning > 0, "leaves", "stays").astype(np.object_)


def table(columns: Table) -> np.ndarray:
    """Put the columns side by side."""
    return np.column_stack(
        [columns[name].astype(np.object_) for name in ("age", "balance", "plan")]
    )


def train(columns: Table, labels: np.ndarray) -> Pipeline:
    """Scale the numbers, spread the plan into one column each, and fit."""
    features = make_column_transformer((StandardScaler(), [0, 1]), (OneHotEncoder(), [2]))
    return make_pipeline(features, LogisticRegression(random_state=0)).fit(table(columns), labels)


def export(model: Pipeline, path: Path) -> None:
    """Write the model: inputs `age`, `balance`, `plan`; outputs `label`, `probability`."""
    types = [
        ("age", Int64TensorType([None, 1])),
        ("balance", FloatTensorType([None, 1])),
        ("plan", StringTensorType([None, 1])),
    ]
    converted = to_onnx(model, initial_types=types, options={"zipmap": False}, target_opset=17)
    graphs.columns(converted)
    graphs.chosen(converted, label="label", probability="probability")
    graphs.save(converted, str(path))


def main() -> None:
    """Train, write `model.onnx`, and say how good it is in `training.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the result")
    arguments = parser.parse_args()

    path = arguments.out / "model.onnx"
    export(train(*customers(CUSTOMERS, seed=SEED)), path)
    columns, labels = customers(HELD_OUT, seed=SEED + 1)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    accuracy = float(np.mean(session.run(["label"], columns)[0] == labels))
    result = {"accuracy": round(accuracy, 4), "held_out": HELD_OUT, "trained_on": CUSTOMERS}
    (arguments.out / "training.json").write_text(
        json.dumps(result, indent=2) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
