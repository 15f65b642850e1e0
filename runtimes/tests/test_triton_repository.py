"""What a Triton is started with: the repository of one model, and what it does not offer."""

from pathlib import Path

import pytest
from replicas import TEST_ARTIFACTS, prepared, refused

from towpath_runtimes.kserve.tensors import TensorSpec
from towpath_runtimes.listening import Address, StartRefused
from towpath_runtimes.triton import __main__ as triton
from towpath_runtimes.triton import repository

CHURN = prepared(TEST_ARTIFACTS / "churn") / "model" / "model.onnx"
ROWS = [TensorSpec("x", "FP32", (-1, 4)), TensorSpec("texts", "BYTES", (-1, -1))]
PREDICTED = [TensorSpec("y", "INT64", (-1, 1))]
DEFAULTS = repository.Wanted("m", instances=1, batch=1024, waiting=128, joined=1, delay_ms=0)
MANY = repository.Wanted('a "b"', instances=3, batch=64, waiting=9, joined=16, delay_ms=2)


def backends(folder: Path, *names: str) -> Path:
    for name in names:
        place = folder / name
        place.mkdir(parents=True)
        (place / f"libtriton_{name}.so").touch()
    return folder


def test_the_defaults_batch_rows_and_join_nothing() -> None:
    text = repository.config(ROWS, PREDICTED, DEFAULTS, backend="python", file=Path("/m/x.onnx"))

    assert (
        text
        == """\
name: "m"
backend: "python"
max_batch_size: 1024
input {
  name: "x"
  data_type: TYPE_FP32
  dims: [4]
}
input {
  name: "texts"
  data_type: TYPE_STRING
  dims: [-1]
}
output {
  name: "y"
  data_type: TYPE_INT64
  dims: [1]
}
instance_group {
  count: 1
  kind: KIND_CPU
}
dynamic_batching {
  default_queue_policy { max_queue_size: 128 }
}
parameters { key: "model" value { string_value: "/m/x.onnx" } }
parameters { key: "rows" value { string_value: "1024" } }
"""
    )


def test_every_argument_has_its_place_in_the_configuration() -> None:
    text = repository.config(
        ROWS[:1], PREDICTED, MANY, backend="onnxruntime", file=Path("/m/x.onnx")
    )

    assert (
        text
        == """\
name: "a \\"b\\""
backend: "onnxruntime"
max_batch_size: 64
input {
  name: "x"
  data_type: TYPE_FP32
  dims: [4]
}
output {
  name: "y"
  data_type: TYPE_INT64
  dims: [1]
}
instance_group {
  count: 3
  kind: KIND_AUTO
}
dynamic_batching {
  preferred_batch_size: [16]
  max_queue_delay_microseconds: 2000
  default_queue_policy { max_queue_size: 9 }
}
default_model_filename: "x.onnx"
parameters { key: "intra_op_thread_count" value { string_value: "1" } }
parameters { key: "inter_op_thread_count" value { string_value: "1" } }
"""
    )


def test_tensors_without_a_second_dimension_keep_their_shape_and_are_not_joined() -> None:
    flat = [TensorSpec("x", "FP32", (-1,))]

    text = repository.config(flat, PREDICTED, DEFAULTS, backend="python", file=CHURN)

    assert "max_batch_size: 0\n" in text
    assert "dims: [-1]\n" in text
    assert "dims: [-1, 1]\n" in text
    with pytest.raises(StartRefused, match="cannot be joined"):
        repository.config(flat, PREDICTED, MANY, backend="python", file=CHURN)


def test_a_number_without_dimensions_is_refused_by_name() -> None:
    with pytest.raises(StartRefused, match="`n` has no dimension"):
        repository.config(
            [TensorSpec("n", "FP32", ())], PREDICTED, DEFAULTS, backend="python", file=CHURN
        )


def test_tritons_own_backend_goes_first_and_has_the_files_folder(tmp_path: Path) -> None:
    both = backends(tmp_path / "both", "onnxruntime", "python")
    one = backends(tmp_path / "one", "python")

    repository.write(tmp_path / "a", CHURN, DEFAULTS, backends=both)
    repository.write(tmp_path / "b", CHURN, DEFAULTS, backends=one)
    repository.write(tmp_path / "b", CHURN, DEFAULTS, backends=one)  # a start after a crash

    assert (tmp_path / "a" / "m" / "1").resolve() == CHURN.parent.resolve()
    assert 'backend: "onnxruntime"' in (tmp_path / "a" / "m" / "config.pbtxt").read_text()
    assert "TritonPythonModel" in (tmp_path / "b" / "m" / "1" / "model.py").read_text()


def test_a_triton_without_such_a_backend_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="neither"):
        repository.write(tmp_path / "a", CHURN, DEFAULTS, backends=tmp_path)


def test_it_listens_at_one_address_and_closes_what_no_caller_needs() -> None:
    at = Address.parse("unix:/run/r.sock")

    told = triton.command(Path("/t/bin/tritonserver"), Path("/r"), Path("/t/backends"), at)

    assert told[0] == "/t/bin/tritonserver"
    assert {
        *("--http-address=unix:/run/r.sock", "--http-port=0", "--allow-grpc=false"),
        *("--allow-metrics=false", "--model-control-mode=none"),
    } <= set(told)
    closed = next(part for part in told if part.startswith("--http-restricted-api="))
    assert closed.startswith(
        "--http-restricted-api=shared-memory,model-repository,trace,logging:closed="
    )
    again = triton.command(Path("/t/bin/tritonserver"), Path("/r"), Path("/t/backends"), at)
    assert closed not in again


def test_a_triton_that_is_not_there_is_named(tmp_path: Path) -> None:
    said = refused("triton", CHURN, f"unix:{tmp_path}/r.sock", f"--server={tmp_path}")

    assert f"there is no Triton at `{tmp_path}/bin/tritonserver`" in said
    assert "fix: " in said
