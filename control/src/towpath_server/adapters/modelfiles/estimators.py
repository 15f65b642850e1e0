"""
Reads the signature of a scikit-learn estimator out of the schema of its skops file.

The model server reads the same from the loaded estimator (`towpath_runtimes.sklearn.derived`): what
the file does not tell for certain is left to a `signature.json` beside it.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

_VECTORIZERS = {"CountVectorizer", "HashingVectorizer", "TfidfVectorizer"}
# What may take texts and numbers alike: the file does not say which.
_MIXED = {
    "ColumnTransformer", "FeatureHasher", "FeatureUnion", "DictVectorizer", "FunctionTransformer",
    "KNNImputer", "MissingIndicator", "OneHotEncoder", "OrdinalEncoder", "SimpleImputer",
    "TargetEncoder",
}  # fmt: skip
# Names of classes that predict a number.
_REGRESSES = ("Regressor", "Regression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet",
              "ElasticNetCV", "SVR")  # fmt: skip
_KINDS = {"b": "BOOL", "i": "INT64", "u": "INT64", "f": "FP64", "U": "BYTES", "O": "BYTES"}
_MAX_DEPTH = 16  # pipelines within pipelines
_MAX_COLUMNS = 1000

Head = Callable[[str], bytes]
"""Returns the beginning of another file of the archive."""


def signature(model: Any, head: Head) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return inputs and outputs of an estimator; empty where the file does not tell."""
    return _inputs(_end(model, 0)), _outputs(_end(model, -1), head)


def _end(model: Any, at: int, depth: int = 0) -> Mapping[str, Any]:
    """Return the first or last step of a pipeline; anything else is its own."""
    if not isinstance(model, Mapping):
        return {}
    steps = attributes(model).get("steps")
    listed = steps.get("content") if isinstance(steps, Mapping) else None
    if not isinstance(listed, list) or not listed or depth > _MAX_DEPTH:
        return model
    pair = listed[at].get("content") if isinstance(listed[at], Mapping) else None
    return _end(pair[1], at, depth + 1) if isinstance(pair, list) and len(pair) > 1 else {}


def attributes(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object's attributes by name."""
    content = model.get("content")
    found = content.get("content") if isinstance(content, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _inputs(first: Mapping[str, Any]) -> list[dict[str, Any]]:
    name, told = first.get("__class__"), attributes(first)
    if name in _VECTORIZERS:
        return [_spec("text", "BYTES", [-1])]
    count = told.get("n_features_in_")
    text = str(count.get("content", "")) if isinstance(count, Mapping) else ""
    if name in _MIXED or not re.fullmatch(r"[0-9]{1,9}", text):
        return []
    if "feature_names_in_" not in told:
        return [_spec("x", "FP64", [-1, int(text)])]
    columns = names(told["feature_names_in_"])
    return [_spec(column, "FP64", [-1]) for column in columns] if columns else []


def names(array: Any) -> list[str]:
    """Return the texts of an array of names; empty where it is none."""
    listed = array.get("content") if isinstance(array, Mapping) else None
    if not isinstance(listed, list) or len(listed) > _MAX_COLUMNS:
        return []
    return [str(one.get("content", "")).strip('"') for one in listed if isinstance(one, Mapping)]


def _outputs(last: Mapping[str, Any], head: Head) -> list[dict[str, Any]]:
    told = attributes(last)
    if "classes_" in told:
        kind = _KINDS.get(_kind(told["classes_"], head))
    else:
        kind = "FP64" if str(last.get("__class__")).endswith(_REGRESSES) else None
    return [_spec("predict", kind, [-1])] if kind else []


def _kind(array: Any, head: Head) -> str:
    """Return the kind of an array's values, as NumPy names it; empty where it has none."""
    if not isinstance(array, Mapping) or array.get("__class__") != "ndarray":
        return ""
    if array.get("type") == "json":
        return "O"
    match = re.search(rb"'descr': *'[|<>=]?([a-zA-Z])", head(str(array.get("file"))))
    return match[1].decode() if match else ""


def _spec(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}
