"""
The signature that a fitted estimator has by itself, where nobody wrote one.

The control plane reads the same from the file, without loading it
(`adapters/modelfiles/estimators.py`): what is not certain there is not certain here.
"""

from typing import Any

from towpath_runtimes.kserve.tensors import TensorSpec

VECTORIZERS = {"CountVectorizer", "HashingVectorizer", "TfidfVectorizer"}
# What may take texts and numbers alike: the file does not say which.
MIXED = {
    "ColumnTransformer", "FeatureHasher", "FeatureUnion", "DictVectorizer", "FunctionTransformer",
    "KNNImputer", "MissingIndicator", "OneHotEncoder", "OrdinalEncoder", "SimpleImputer",
    "TargetEncoder",
}  # fmt: skip
_KINDS = {"b": "BOOL", "i": "INT64", "u": "INT64", "f": "FP64", "U": "BYTES", "O": "BYTES"}


def signature(fitted: Any) -> tuple[list[TensorSpec], list[TensorSpec]] | None:
    """Return inputs and outputs; none where the estimator does not tell."""
    inputs, outputs = _inputs(_end(fitted, 0)), _outputs(_end(fitted, -1))
    return (inputs, outputs) if inputs and outputs else None


def reads_text(fitted: Any) -> bool:
    """Tell whether it begins with a vectorizer."""
    return type(_end(fitted, 0)).__name__ in VECTORIZERS


def _end(fitted: Any, at: int) -> Any:
    steps = getattr(fitted, "steps", None)
    return _end(steps[at][1], at) if steps else fitted


def _inputs(first: Any) -> list[TensorSpec] | None:
    name = type(first).__name__
    if name in VECTORIZERS:
        return [TensorSpec("text", "BYTES", (-1,))]
    count = getattr(first, "n_features_in_", None)
    if count is None or name in MIXED:
        return None
    columns = getattr(first, "feature_names_in_", None)
    if columns is not None:
        return [TensorSpec(str(column), "FP64", (-1,)) for column in columns]
    return [TensorSpec("x", "FP64", (-1, int(count)))]


def _outputs(last: Any) -> list[TensorSpec] | None:
    classes = getattr(last, "classes_", None)
    kind = getattr(getattr(classes, "dtype", None), "kind", "")
    if kind in _KINDS:
        return [TensorSpec("predict", _KINDS[kind], (-1,))]
    if classes is None and regresses(type(last).__name__):
        return [TensorSpec("predict", "FP64", (-1,))]
    return None


def regresses(name: str) -> bool:
    """Tell by the name of a class of scikit-learn's whether it predicts a number."""
    words = ("Regressor", "Regression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet",
             "ElasticNetCV", "SVR")  # fmt: skip
    return name.endswith(words)
