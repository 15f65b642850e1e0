"""The child that reads files, and bytes that nobody thought of."""

import io
import os
from pathlib import Path

import artifacts
import pytest
from hostile.catalogue import ALL
from hostile.pickled import plain
from hypothesis import given, settings
from hypothesis import strategies as st

from towpath_server.adapters.modelfiles.examine import examine
from towpath_server.adapters.modelfiles.report import Examined
from towpath_server.adapters.modelfiles.scanner import Scanner


async def test_a_file_that_ends_the_child_is_refused_and_the_others_are_read(
    tmp_path: Path,
) -> None:
    good = tmp_path / "good"
    good.write_bytes(artifacts.onnx())
    files = [(good, "a.onnx"), (tmp_path / "not-there", "b.onnx"), (good, "c.onnx")]

    found = await Scanner().scan(files)

    assert [[issue.reason for issue in one.issues] for one in found] == [[], ["ScanFailed"], []]
    assert [one.kind for one in found] == ["onnx", "unknown", "onnx"]


async def test_a_file_that_takes_too_long_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # nobody ever writes to it

    found = await Scanner(seconds=0.5).scan([(pipe, "model.onnx")])

    assert [issue.reason for issue in found[0].issues] == ["ScanFailed"]


def test_what_was_found_is_written_and_read_again() -> None:
    found = examine(io.BytesIO(plain()), "model.pkl")

    assert Examined.of(found.as_json()) == found
    assert [issue.reason for issue in found.issues] == ["Pickle"]


# The corpus without what takes its time on purpose, and some good files.
SEEDS = [
    ("model.gguf", artifacts.gguf({"tokenizer.chat_template": "{{ messages[0].content }}"})),
    ("model.onnx", artifacts.onnx(tensors=[artifacts.onnx_tensor()])),
    ("model.skops", artifacts.skops()),
    ("MLmodel", artifacts.mlflow(artifacts.ONNX_FLAVOUR)["MLmodel"]),
    *(
        (Path(path).name, content)
        for artifact in ALL
        if not artifact.name.startswith(("template-", "gzip-bomb", "json-deep"))
        for path, content in artifact.make().items()
        if len(content) < 100_000
    ),
]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["set", "cut", "insert", "repeat"]),
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=9),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.timeout(120)
@settings(deadline=20_000, max_examples=500)
@given(seed=st.sampled_from(SEEDS), edits=EDITS)
def test_no_bytes_make_a_reader_fail(
    seed: tuple[str, bytes], edits: list[tuple[str, float, bytes]]
) -> None:
    """Whatever is changed in a file, it is read or refused; nothing else is ever raised."""
    name, data = seed
    for kind, where, some in edits:
        at = int(where * len(data))
        if kind == "set":
            data = data[:at] + some + data[at + len(some) :]
        elif kind == "cut":
            data = data[:at] + data[at + len(some) :]
        elif kind == "insert":
            data = data[:at] + some + data[at:]
        else:
            data = data + data[at : at + 64]

    found = examine(io.BytesIO(data), name)

    assert Examined.of(found.as_json()) == found


@pytest.mark.parametrize(
    ("what", "content"),
    [
        ("an entry that is encrypted in a second way", {"flag": 0x40}),
        ("an entry without a name", {"name": b""}),
    ],
)
def test_an_entry_that_the_library_cannot_read_is_a_finding(what: str, content: dict) -> None:
    """Found by mutated archives; both ended the child."""
    data = bytearray(artifacts.zipped({"a": b"b"}))
    central = data.rindex(b"PK\x01\x02")
    if "flag" in content:
        data[6] |= content["flag"]
        data[central + 8] |= content["flag"]
    else:
        del data[central + 46]
        data[central + 28] = 0

    found = examine(io.BytesIO(bytes(data)), "extra.zip")

    assert found.issues, what


@settings(deadline=20_000, max_examples=200)
@given(data=st.binary(max_size=400), suffix=st.sampled_from(["", ".gguf", ".zip", ".npy", ".json"]))
def test_noise_is_never_more_than_refused(data: bytes, suffix: str) -> None:
    examine(io.BytesIO(data), f"model{suffix}")
