"""Tensors of the KServe protocol: what goes in comes out, and nothing else gets in."""

import contextlib
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from towpath_runtimes.kserve import protocol, tensors
from towpath_runtimes.kserve.errors import Refused

NUMBERS = [name for name in tensors.DTYPES if name != "BYTES"]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@st.composite
def anything(draw):
    datatype = draw(st.sampled_from([*NUMBERS, "BYTES"]))
    shape = draw(SHAPES)
    if datatype == "BYTES":
        size = math.prod(shape)
        values = draw(st.lists(TEXT, min_size=size, max_size=size))
        return datatype, tensors.text_array("x", values, shape)
    dtype = tensors.DTYPES[datatype]
    finite = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    return datatype, draw(arrays.arrays(dtype, shape, elements=finite or None))


@given(anything())
def test_json_and_back_is_the_same_tensor(case):
    datatype, array = case
    data = json.loads(json.dumps(tensors.to_json(array)))

    read = tensors.from_json("x", datatype, array.shape, data)

    assert read.dtype == array.dtype
    assert np.array_equal(read, array)


@given(anything())
def test_nested_and_flat_mean_the_same(case):
    datatype, array = case
    if 0 in array.shape or array.ndim == 0:
        return

    read = tensors.from_json("x", datatype, array.shape, json.loads(json.dumps(array.tolist())))

    assert np.array_equal(read, array)


@given(anything())
def test_bytes_and_back_is_the_same_tensor(case):
    datatype, array = case

    read = tensors.from_binary("x", datatype, array.shape, memoryview(tensors.to_binary(array)))

    assert np.array_equal(read, array)


@given(st.binary(max_size=200), st.one_of(st.none(), st.text(max_size=6)))
def test_foreign_bytes_are_refused_and_never_crash(body, header_length):
    with pytest.raises(Refused):
        protocol.read(body, header_length)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["inputs", "outputs", "name", "shape", "datatype", "data", "parameters"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_foreign_documents_are_read_or_refused_and_never_crash(document):
    with contextlib.suppress(Refused):
        assert protocol.read(json.dumps(document).encode(), None).inputs


@given(st.sampled_from(NUMBERS), SHAPES, st.binary(max_size=64))
def test_bytes_of_another_size_are_refused(datatype, shape, data):
    wanted = math.prod(shape) * tensors.DTYPES[datatype].itemsize
    if len(data) == wanted:
        return

    with pytest.raises(Refused, match=f"has {len(data)} bytes"):
        tensors.from_binary("x", datatype, shape, memoryview(data))


@pytest.mark.parametrize(
    ("datatype", "value", "said"),
    [
        ("UINT8", 256, "out of range"),
        ("UINT8", -1, "out of range"),
        ("INT8", -129, "out of range"),
        ("UINT64", 2**64, "out of range"),
        ("FP16", 70_000, "out of range"),
        ("FP64", 10**400, "out of range"),
        ("INT64", 1.0, "is a number, `INT64` takes an integer"),
        ("BOOL", 1, "is an integer, `BOOL` takes true or false"),
        ("FP32", "1", "is a string, `FP32` takes a number"),
        ("BYTES", 1, "is an integer, `BYTES` takes a string"),
        ("BYTES", "\ud800", "half of a surrogate pair"),
        ("BYTES", "a\0b", "zero character"),
    ],
)
def test_a_value_that_would_change_is_refused(datatype, value, said):
    with pytest.raises(Refused, match="input `x`") as refusal:
        tensors.from_json("x", datatype, (1,), [value])

    assert said in refusal.value.message


@pytest.mark.parametrize("data", [[[1, 2], [3]], [1, [2]], [[[1]], [2]], 5, "12", {"0": 1}, None])
def test_ragged_and_other_data_is_refused(data):
    with pytest.raises(Refused, match="input `x`"):
        tensors.from_json("x", "INT64", (3,), data)


def test_an_answer_that_json_cannot_say_is_an_error_of_the_model():
    with pytest.raises(Refused) as refusal:
        tensors.to_json(np.array([1.0, np.nan]))

    assert refusal.value.status == 500
