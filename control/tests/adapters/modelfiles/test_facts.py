"""What is read from files that are as they should be: no findings, facts and signatures."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import artifacts
import pytest

from towpath_server.adapters.modelfiles.examine import examine
from towpath_server.adapters.modelfiles.model import Judged, judge

DEMO = Path(__file__).resolve().parents[4] / ".build" / "artifacts"


def read(form: str, files: Mapping[str, bytes]) -> Judged:
    """Judge a model of the files by path."""
    return judge(
        form,
        [
            (path, len(content), examine(io.BytesIO(content), Path(path).name))
            for path, content in files.items()
        ],
    )


GOOD: dict[str, tuple[str, Mapping[str, bytes]]] = {
    "gguf": ("gguf", {"model.gguf": artifacts.gguf()}),
    "onnx": ("onnx", {"model.onnx": artifacts.onnx()}),
    "onnx with weights beside it": (
        "onnx",
        {
            "model.onnx": artifacts.onnx(
                tensors=[artifacts.onnx_tensor(external={"location": "w.bin", "length": "16"})]
            ),
            "w.bin": bytes(16),
        },
    ),
    "folder": ("safetensors", artifacts.folder()),
    "skops": ("sklearn", {"model.skops": artifacts.skops()}),
    "scikit-learn as onnx": ("sklearn", {"model.onnx": artifacts.onnx()}),
    "triton": ("triton", artifacts.triton()),
    "mlflow": (
        "mlflow",
        artifacts.mlflow(artifacts.ONNX_FLAVOUR, {"model.onnx": artifacts.onnx()}),
    ),
    "own": ("tiny", {"model.bin": b"weights of our own making"}),
    "arrays": ("own", {"a.npz": artifacts.zipped({"a.npy": artifacts.npy()})}),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_model_has_no_findings(name: str) -> None:
    form, files = GOOD[name]

    judged = read(form, files)

    assert judged.issues == ()
    assert not judged.carries_code(form)


def test_a_gguf_says_what_placing_it_needs() -> None:
    facts = read(*GOOD["gguf"]).facts

    assert facts == {
        "detected": "gguf",
        "weights_bytes": 512,
        "parameters": 128,
        "architecture": "llama",
        "name": "tiny",
        "context_length": 2048,
        "layers": 2,
        "embedding_length": 64,
        "heads": 4,
        "kv_heads": 2,
        "head_dim": 16,
        "vocabulary": 3,
        "quantization": "F32",
        "chat_template": False,
    }


def test_parts_of_a_gguf_are_added_up() -> None:
    parts = {f"m-0000{n}-of-00002.gguf": artifacts.gguf() for n in (1, 2)}

    assert read("gguf", parts).facts["weights_bytes"] == 1024


def test_a_folder_says_it_by_its_configuration_and_weights() -> None:
    facts = read(*GOOD["folder"]).facts

    assert {name: facts[name] for name in ("weights_bytes", "parameters", "quantization")} == {
        "weights_bytes": 16,
        "parameters": 4,
        "quantization": "F32",
    }
    assert (facts["context_length"], facts["layers"], facts["head_dim"]) == (4096, 2, 16)


SIGNATURES: dict[str, Any] = {
    "onnx": {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
    },
    "triton": {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
    },
    "mlflow": {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
    },
    "gguf": None,
    "folder": None,
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_is_read_from_the_file(name: str) -> None:
    assert read(*GOOD[name]).signature == SIGNATURES[name]


def test_a_model_that_mlflow_alone_can_load_has_the_signature_that_mlflow_keeps() -> None:
    flavour = "  xgboost: {data: model.xgb}\n"

    assert read("mlflow", artifacts.mlflow(flavour, {"model.xgb": b"{}"})).signature == {
        "inputs": [
            {"name": "age", "datatype": "FP64", "shape": [-1]},
            {"name": "city", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [{"name": "tensor_0", "datatype": "FP32", "shape": [-1, 2]}],
    }


def test_a_model_of_token_ids_with_a_tokenizer_takes_text() -> None:
    """As the runtime `onnx` serves it."""
    tokens = [artifacts.onnx_value(n, 7, ("b", "t")) for n in ("input_ids", "attention_mask")]
    model = artifacts.onnx(inputs=tokens, outputs=[artifacts.onnx_value("v", 1, ("b", "t", 384))])

    judged = read("onnx", {"model.onnx": model, "tokenizer.json": b"{}"})

    assert judged.signature == {
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": "embedding", "datatype": "FP32", "shape": [-1, 384]}],
    }


def test_an_output_that_has_no_words_in_kserve_makes_no_signature() -> None:
    """A classifier's map of probabilities: better none than half of one."""
    zipmap = artifacts.field(1, "p") + artifacts.field(2, artifacts.field(4, b""))
    model = artifacts.onnx(outputs=[artifacts.onnx_value("label", 7, ("b",)), zipmap])

    assert read("onnx", {"model.onnx": model}).signature is None


def test_a_template_as_publishers_write_them_passes() -> None:
    template = (
        "{% for message in messages %}{% if loop.first and message.role != 'system' %}"
        "{{ '<|im_start|>system\nYou are helpful<|im_end|>\n' }}{% endif %}"
        "{% generation %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] }}"
        "{% endgeneration %}{{ '<|im_end|>\n' }}{% endfor %}"
        "{% if messages[0]['role'] == 'tool' %}{{ raise_exception('no tools') }}{% endif %}"
        "{{ strftime_now('%d %b %Y') }}{% if add_generation_prompt %}{{ 'x' }}{% endif %}"
    )

    judged = read("gguf", {"m.gguf": artifacts.gguf({"tokenizer.chat_template": template})})

    assert judged.issues == ()
    assert judged.facts["chat_template"] is True


def test_a_file_that_skops_wrote_passes() -> None:
    """`LogisticRegression().fit(…)` by skops 0.16."""
    content = (Path(__file__).parent / "logistic.skops").read_bytes()

    judged = read("sklearn", {"model.skops": content})

    assert judged.issues == ()
    assert judged.facts == {
        "detected": "sklearn",
        "class": "sklearn.linear_model._logistic.LogisticRegression",
        "skops": "0.16.0",
        "features": 4,
    }
    assert judged.signature == {
        "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1, 4]}],
        "outputs": [{"name": "predict", "datatype": "INT64", "shape": [-1]}],
    }


def node(kind: str, content: Any, **more: Any) -> dict[str, Any]:
    """Write a node of skops' schema."""
    return {"__class__": kind, "__module__": "sklearn", "content": content, **more}


def estimator(kind: str, **attributes: Any) -> dict[str, Any]:
    """Write an estimator of skops' schema; its attributes are nodes."""
    return node(kind, node("dict", attributes))


COUNT = node("str", "2")
NAMES = node("ndarray", [node("str", '"age"'), node("str", '"size"')], type="json")
LABELS = node("ndarray", [node("str", '"stays"')], type="json")


@pytest.mark.parametrize(
    ("model", "inputs", "output"),
    [
        (estimator("Ridge", n_features_in_=COUNT), [("x", "FP64", [-1, 2])], "FP64"),
        (
            estimator("SVC", n_features_in_=COUNT, feature_names_in_=NAMES, classes_=LABELS),
            [("age", "FP64", [-1]), ("size", "FP64", [-1])],
            "BYTES",
        ),
        (
            estimator(
                "Pipeline",
                steps=node(
                    "list",
                    [
                        node("tuple", [node("str", '"t"'), estimator("TfidfVectorizer")]),
                        node("tuple", [node("str", '"c"'), estimator("SVC", classes_=LABELS)]),
                    ],
                ),
            ),
            [("text", "BYTES", [-1])],
            "BYTES",
        ),
        (estimator("OneHotEncoder", n_features_in_=COUNT, classes_=LABELS), None, None),
        (estimator("KMeans", n_features_in_=COUNT), None, None),
        (estimator("Pipeline", steps=node("list", ["no step"])), None, None),
        (estimator("SVC", n_features_in_=node("str", "1e9"), classes_=LABELS), None, None),
        (
            estimator(
                "SVC",
                n_features_in_=COUNT,
                classes_=node("ndarray", None, type="numpy", file="../x.npy"),
            ),
            None,
            None,
        ),
    ],
    ids=["number", "table", "text", "mixed", "clusters", "broken", "count", "elsewhere"],
)
def test_the_signature_of_a_skops_file_is_what_its_estimator_tells_for_certain(
    model: dict[str, Any], inputs: list[Any] | None, output: str | None
) -> None:
    signature = read("sklearn", {"model.skops": artifacts.skops(model)}).signature

    assert signature == (
        None
        if inputs is None
        else {
            "inputs": [
                dict(zip(("name", "datatype", "shape"), one, strict=True)) for one in inputs
            ],
            "outputs": [{"name": "predict", "datatype": output, "shape": [-1]}],
        }
    )


def test_a_signature_beside_a_skops_file_goes_before_what_is_derived() -> None:
    files = {
        "model.skops": artifacts.skops(estimator("Ridge", n_features_in_=COUNT)),
        "signature.json": json.dumps(SIGNATURE).encode(),
    }

    assert read("sklearn", files).signature == SIGNATURE


def test_names_as_numpy_writes_them_are_not_dangerous() -> None:
    """A scikit-learn pickle with a random state: code, and no attack."""
    content = b"\x80\x02cnumpy.random._pickle\n__randomstate_ctor\n)R."

    issues = read("python", {"model.pkl": content, "serve.py": b"x = 1\n"}).issues

    assert [issue.reason for _, issue in issues] == ["Pickle", "PythonCode"]


SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "sum", "datatype": "FP32", "shape": [-1]}],
}


def test_a_class_of_python_has_the_signature_that_stands_beside_it() -> None:
    files = {"model.py": b"class Model: ...", "signature.json": json.dumps(SIGNATURE).encode()}

    assert read("python", files).signature == SIGNATURE


@pytest.mark.parametrize(
    "wrong",
    [
        {"outputs": []},
        {"inputs": "x"},
        {"inputs": [{"name": "", "datatype": "FP32", "shape": [1]}]},
        {"inputs": [{"name": "x", "datatype": "FP8", "shape": [1]}]},
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [True]}]},
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": 3}]},
        {"inputs": [{"name": "x", "datatype": ["FP32"], "shape": [1]}]},
    ],
)
def test_half_a_signature_is_none(wrong: dict[str, object]) -> None:
    content = json.dumps({**SIGNATURE, **wrong}).encode()

    assert read("python", {"model.py": b"", "signature.json": content}).signature is None


def test_an_onnx_file_knows_better_than_what_stands_beside_it() -> None:
    model = artifacts.onnx(
        inputs=[artifacts.onnx_value("a")], outputs=[artifacts.onnx_value("b")], tensors=[]
    )
    files = {"m.onnx": model, "signature.json": json.dumps(SIGNATURE).encode()}

    found = read("onnx", files).signature

    assert found is not None
    assert [one["name"] for one in found["inputs"]] == ["a"]


def test_texts_of_a_file_can_be_shown_and_stored() -> None:
    """Lone surrogates and control characters come from JSON, and no database takes them."""
    facts = read("safetensors", artifacts.folder(config={"model_type": "a\ud800b\0c"})).facts

    assert facts["architecture"] == "a\ufffdb\ufffdc"


def test_names_without_end_are_refused() -> None:
    inputs = [artifacts.onnx_value(f"{n}" + "x" * 290) for n in range(1000)]
    outputs = [artifacts.onnx_value(f"y{n}" + "x" * 290) for n in range(1000)]
    pairs = {f"{n}" + "x" * 290: "" for n in range(2000)}
    tensors = [artifacts.onnx_tensor(external={"location": name}) for name in pairs]

    judged = read(
        "onnx", {"m.onnx": artifacts.onnx(inputs=inputs, outputs=outputs, tensors=tensors)}
    )

    assert "TooLarge" in {issue.reason for _, issue in judged.issues}


@pytest.mark.parametrize("name", ["smollm2", "minilm", "sentiment-classifier"])
def test_the_models_that_come_with_the_platform_pass(name: str) -> None:
    folder = DEMO / name / "model"
    if not folder.is_dir():
        pytest.skip("`make setup` prepares the models")
    files = []
    for path in sorted(folder.rglob("*")):
        with path.open("rb") as file:
            at = path.relative_to(folder).as_posix()
            files.append((at, path.stat().st_size, examine(file, path.name)))

    judged = judge("gguf" if name == "smollm2" else "onnx", files)

    assert judged.issues == ()
    given = DEMO / name / "signature.json"
    if given.is_file():
        assert judged.signature == json.loads(given.read_text())
    else:
        assert judged.facts["context_length"] == 8192
        assert judged.facts["weights_bytes"] == pytest.approx(98e6, rel=0.05)
