"""`towpath init`: what lies here, and the manifest for it."""

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from inline_snapshot import snapshot


def gguf(**values: str | int) -> bytes:
    """Write a header with these entries, and an array that must be skipped."""
    out = io.BytesIO()
    out.write(b"GGUF" + struct.pack("<IQQ", 3, 0, len(values) + 1))

    def text(value: str) -> None:
        out.write(struct.pack("<Q", len(value)) + value.encode())

    text("tokenizer.ggml.tokens")
    out.write(struct.pack("<IIQ", 9, 8, 2))
    text("a")
    text("bc")
    for name, value in values.items():
        text(name.replace("__", "."))
        if isinstance(value, str):
            out.write(struct.pack("<I", 8))
            text(value)
        else:
            out.write(struct.pack("<II", 4, value))
    return out.getvalue()


def field(number: int, content: bytes | int) -> bytes:
    """Write a field of a protobuf message; all of them are short."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def tensor(name: str, element: int, *sizes: int) -> bytes:
    dims = b"".join(field(1, field(1, size) if size else field(2, b"batch")) for size in sizes)
    return field(1, name.encode()) + field(2, field(1, field(1, element) + field(2, dims)))


def onnx() -> bytes:
    """Write a model with a weight that is among the inputs, as old exporters do."""
    weight = field(8, b"W")
    graph = field(5, weight) + field(11, tensor("text", 8, 0)) + field(11, tensor("W", 1, 3))
    return field(1, 9) + field(7, graph + field(12, tensor("score", 1, 0, 2)))


def test_an_onnx_file_gets_a_manifest_that_names_it(cli: Any, home: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(home)
    (home / "Triage v2.onnx").write_bytes(onnx())

    done = cli("init", "Triage v2.onnx", "--project", "care/triage")

    assert (done.code, done.err) == snapshot(
        (
            0,
            """\
Wrote towpath.yaml: onnx, inputs text BYTES[-1] → score FP32[-1,2], 81 B.
Look at `access` and `smokeTests`, then: `towpath deploy`
""",
        )
    )
    text = (home / "towpath.yaml").read_text()
    document = yaml.safe_load(text)
    assert document["metadata"] == {"name": "triage-v2", "project": "care/triage"}
    assert document["spec"]["model"] == {"uri": "file:./Triage v2.onnx", "format": "onnx"}
    assert document["spec"]["runtime"] == {"name": "onnx"}
    # What is switched off is a manifest, too, once its marks are gone.
    switched = yaml.safe_load(text.replace("\n  # ", "\n  "))
    assert switched["spec"]["smokeTests"][0]["expect"] == {"status": 200, "maxLatency": "10s"}


def test_a_gguf_file_tells_architecture_and_context(cli: Any, home: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(home)
    (home / "deploy").mkdir()
    content = gguf(general__architecture="llama", llama__context_length=8192, general__file_type=15)
    (home / "m.gguf").write_bytes(content)

    done = cli("init", "m.gguf", "-o", "deploy/m.yaml")

    assert "gguf, llama, Q4_K_M, context 8,192" in done.err
    document = yaml.safe_load((home / "deploy" / "m.yaml").read_text())
    # It does not lie below the manifest, so that no relative path would survive a move.
    assert document["spec"]["model"]["uri"] == f"file:{home}/m.gguf"
    assert document["spec"]["runtime"] == {"name": "llama.cpp"}


def test_folders_are_told_by_what_is_in_them(cli: Any, home: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(home)
    hub = home / "hub"
    hub.mkdir()
    config = {"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 4096}
    (hub / "config.json").write_text(json.dumps(config))
    (hub / "model.safetensors").write_bytes(b"\0" * 16)
    flow = home / "flow"
    flow.mkdir()
    (flow / "MLmodel").write_text("flavors: {}")
    skops = home / "clf.skops"
    with zipfile.ZipFile(skops, "w") as archive:
        archive.writestr("schema.json", "{}")

    told = [
        cli("init", str(path), "-o", f"{path.name}.yaml").err.splitlines()[:2]
        for path in (hub, flow, skops)
    ]

    assert told == snapshot(
        [
            [
                "Wrote hub.yaml: safetensors, LlamaForCausalLM, context 4,096, 88 B.",
                "Name a runtime that serves `safetensors` in it.",
            ],
            [
                "Wrote flow.yaml: mlflow, 11 B.",
                "Look at `access` and `smokeTests`, then: `towpath deploy`",
            ],
            [
                "Wrote clf.skops.yaml: sklearn, saved with skops, 122 B.",
                "Look at `access` and `smokeTests`, then: `towpath deploy`",
            ],
        ]
    )


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("m.pkl", pickle.dumps({}), "is a pickle"),
        ("m.dat", pickle.dumps({}), "is a pickle"),
        ("m.pt", b"PK\3\4", "PyTorch"),
        ("m.txt", b"hello", "is no model that is known"),
        ("m.gguf", b"GGUF\3\0\0", "ends within its header"),
        ("n.gguf", b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60), "header is not readable"),
        ("m.onnx", b"\xff\xff\xff", "cannot be read as a model"),
        ("n.onnx", b"", "it is empty"),
    ],
)
def test_what_is_no_model_is_refused_with_what_to_do(
    cli: Any, home: Path, monkeypatch: Any, name: str, content: bytes, says: str
) -> None:
    monkeypatch.chdir(home)
    (home / name).write_bytes(content)

    done = cli("init", name)

    assert done.code == 1
    assert says in done.err
    assert "fix:" in done.err
    assert not (home / "towpath.yaml").exists()


def test_a_manifest_that_is_there_is_not_written_over(
    cli: Any, home: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(home)
    (home / "m.onnx").write_bytes(onnx())
    (home / "towpath.yaml").write_text("mine")

    refused = cli("init", "m.onnx")
    kept = (home / "towpath.yaml").read_text()
    forced = cli("init", "m.onnx", "--force")

    assert (refused.code, kept, forced.code) == (1, "mine", 0)


def test_two_models_in_a_folder_are_not_guessed_between(
    cli: Any, home: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(home)
    for name in ("a.onnx", "b.onnx"):
        (home / name).write_bytes(onnx())

    done = cli("init")

    assert done.code == 1
    assert "holds 2 models (a.onnx, b.onnx)" in done.err
