"""Log and register models with a real tracking server, as a data scientist does; the first argument is its URL."""

import sys

import mlflow
import numpy as np
import onnx
from mlflow.models import infer_signature
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression

mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("triage")
inputs = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]], dtype=np.float32)
model = LogisticRegression().fit(inputs, [0, 1, 1, 0])
value = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in "xy"}
graph = helper.make_graph(
    [helper.make_node("Identity", ["x"], ["y"])], "tiny", [value["x"]], [value["y"]]
)
same = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
same.ir_version = 8
# Named, so that MLflow need not load each model in a process of its own to find out.
needs = {"pip_requirements": ["mlflow"]}
with mlflow.start_run() as run:
    mlflow.log_metric("accuracy", 0.86)
    mlflow.onnx.log_model(
        same,
        name="onnx",
        registered_model_name="triage_onnx",
        signature=infer_signature({"x": inputs}, {"y": inputs}),
        **needs,
    )
    for form in ("skops", "cloudpickle"):
        mlflow.sklearn.log_model(
            model,
            name=form,
            registered_model_name=f"triage-{form}",
            serialization_format=form,
            **needs,
        )
client = mlflow.MlflowClient()
client.set_model_version_tag("triage_onnx", "1", "stage", "trial")
client.set_registered_model_alias("triage_onnx", "champion", "1")
onnx.checker.check_model(same)
sys.stdout.write(f"\n{run.info.run_id}\n")
