"""
Give models that scikit-learn's converter wrote the shape that callers expect: columns, not tables.

The converter's inputs have the shape [rows, 1]. Callers send a column, [rows], so each input gets a
reshape in front; a classifier's table of probabilities becomes the probability of the label that it
chose.
"""

import onnx
from onnx import TensorProto, helper


def columns(model: onnx.ModelProto) -> None:
    """Take each input of shape [rows, 1] as [rows]."""
    graph = model.graph
    graph.initializer.append(helper.make_tensor("as_table", TensorProto.INT64, [2], [-1, 1]))
    for value in graph.input:
        name = value.name
        for node in graph.node:
            for at, source in enumerate(node.input):
                if source == name:
                    node.input[at] = f"{name}_table"
        graph.node.insert(0, helper.make_node("Reshape", [name, "as_table"], [f"{name}_table"]))
        kind = value.type.tensor_type.elem_type
        value.CopyFrom(helper.make_tensor_value_info(name, kind, ["rows"]))


def chosen(model: onnx.ModelProto, *, label: str, probability: str) -> None:
    """Answer the label as `label` and its probability as `probability`, one of each per row."""
    graph = model.graph
    source_label, source_table = (value.name for value in graph.output)
    for node in graph.node:
        for at, output in enumerate(node.output):
            if output == source_label:
                node.output[at] = label
    graph.node.append(
        helper.make_node("ReduceMax", [source_table], [probability], axes=[1], keepdims=0)
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(label, TensorProto.STRING, ["rows"]))
    graph.output.append(helper.make_tensor_value_info(probability, TensorProto.FLOAT, ["rows"]))


def portable(model: onnx.ModelProto) -> None:
    """Lower-case by the locale `C`, not by `en_US.UTF-8`, which slim systems lack."""
    for node in model.graph.node:
        if node.op_type == "StringNormalizer":
            kept = [attribute for attribute in node.attribute if attribute.name != "locale"]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute("locale", "C")])


def save(model: onnx.ModelProto, path: str) -> None:
    """Check the model and write it, the same bytes for the same training."""
    onnx.checker.check_model(model)
    with open(path, "wb") as file:  # noqa: PTH123 - the path is the caller's
        file.write(model.SerializeToString(deterministic=True))
