"""Models into and out of the registry: what is moved, resumed, verified and refused."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from towpath import transfer
from towpath.errors import APIConnectionError, ConfigurationError, TowpathError
from towpath.generated.client import Towpath
from towpath.testing import Answer, FakeTowpath
from towpath.transfer import Description
from towpath.types import ModelVersion

CONTENT = bytes(range(256)) * 40
FILE = "/api/v1/models/triage/versions/1/files/model.onnx"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def version(*paths: str, content: bytes = CONTENT) -> ModelVersion:
    files = [{"path": path, "digest": digest(content), "size": len(content)} for path in paths]
    return ModelVersion(
        {"model": "triage", "version": 1, "uri": "models:/triage/1", "files": files, "tags": {}}
    )


@pytest.fixture
def client(fake: FakeTowpath) -> Iterator[Towpath]:
    with Towpath(address=fake.address, api_key="tp_sandbox_" + "k" * 38, max_retries=0) as made:
        yield made


def test_a_transfer_that_breaks_off_goes_on_where_it_was(
    client: Towpath, fake: FakeTowpath, tmp_path: Path
) -> None:
    fake.answer(
        "GET",
        FILE,
        Answer(body=CONTENT[:3_000], cut=True),
        Answer(status=206, body=CONTENT[3_000:7_000], cut=True),
        Answer(status=206, body=CONTENT[7_000:]),
    )

    (path,) = transfer.pull(client, version("model.onnx"), tmp_path / "triage")

    assert path.read_bytes() == CONTENT
    assert [call.headers.get("range") for call in fake.calls] == [
        None,
        "bytes=3000-",
        "bytes=7000-",
    ]
    assert {call.headers.get("if-range") for call in fake.calls[1:]} == {f'"{digest(CONTENT)}"'}
    assert [one.name for one in path.parent.iterdir()] == ["model.onnx"]


def test_a_transfer_that_was_given_up_is_resumed_by_the_next(
    client: Towpath, fake: FakeTowpath, tmp_path: Path
) -> None:
    fake.answer("GET", FILE, Answer(body=CONTENT[:3_000], cut=True), Answer(silent=True))
    with pytest.raises(APIConnectionError):
        transfer.pull(client, version("model.onnx"), tmp_path)
    fake.answer("GET", FILE, Answer(status=206, body=CONTENT[3_000:]))

    (path,) = transfer.pull(client, version("model.onnx"), tmp_path)

    assert path.read_bytes() == CONTENT
    assert fake.calls[-1].headers["range"] == "bytes=3000-"


def test_a_server_without_ranges_begins_anew(
    client: Towpath, fake: FakeTowpath, tmp_path: Path
) -> None:
    fake.answer("GET", FILE, Answer(body=CONTENT[:3_000], cut=True), Answer(body=CONTENT))

    (path,) = transfer.pull(client, version("model.onnx"), tmp_path)

    assert path.read_bytes() == CONTENT


def test_content_that_was_altered_never_gets_its_name(
    client: Towpath, fake: FakeTowpath, tmp_path: Path
) -> None:
    fake.answer("GET", FILE, Answer(body=b"x" + CONTENT[1:]))

    with pytest.raises(TowpathError) as raised:
        transfer.pull(client, version("model.onnx"), tmp_path)

    assert raised.value.code == "digest_mismatch"
    assert list(tmp_path.glob("**/*.onnx*")) == []


def test_what_is_there_already_is_not_fetched_again(
    client: Towpath, fake: FakeTowpath, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(CONTENT)

    transfer.pull(client, version("model.onnx"), tmp_path)

    assert fake.calls == []


def test_an_older_file_of_the_same_name_is_replaced(
    client: Towpath, fake: FakeTowpath, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"y" * len(CONTENT))
    fake.answer("GET", FILE, Answer(body=CONTENT))

    transfer.pull(client, version("model.onnx"), tmp_path)

    assert (tmp_path / "model.onnx").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "path", ["../x", "a/../../x", "/etc/x", "a\\..\\x", "C:x", "", "a/./../../x", "x\n", "link/x"]
)
def test_nothing_is_written_outside_of_the_folder(
    client: Towpath, fake: FakeTowpath, tmp_path: Path, path: str
) -> None:
    folder = tmp_path / "triage"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)

    with pytest.raises(TowpathError) as raised:
        transfer.pull(client, version("model.onnx", path), folder)

    assert raised.value.code == "path_outside"
    assert fake.calls == []


def test_a_link_in_the_place_of_a_part_is_not_written_through(
    client: Towpath, fake: FakeTowpath, tmp_path: Path
) -> None:
    folder, victim = tmp_path / "triage", tmp_path / "victim"
    folder.mkdir()
    victim.write_bytes(b"mine")
    short = digest(CONTENT).removeprefix("sha256:")[:12]
    (folder / f".model.onnx.{short}.part").symlink_to(victim)
    fake.answer("GET", FILE, Answer(body=CONTENT))

    transfer.pull(client, version("model.onnx"), folder)

    assert victim.read_bytes() == b"mine"


def test_files_come_side_by_side_and_one_failure_ends_all(
    client: Towpath, fake: FakeTowpath, tmp_path: Path
) -> None:
    names = [f"{number}.bin" for number in range(20)]
    for name in names[1:]:
        fake.answer("GET", FILE.replace("model.onnx", name), Answer(body=CONTENT))

    with pytest.raises(TowpathError) as raised:
        transfer.pull(client, version(*names), tmp_path)

    assert raised.value.code == "not_scripted"


def _pushed(fake: FakeTowpath, **more: Any) -> None:
    made = {"model": "triage", "version": 2, "uri": "models:/triage/2", "tags": {}, **more}
    fake.answer("POST", "/api/v1/models/triage/versions", Answer(201, made))


def test_only_what_is_missing_is_sent(client: Towpath, fake: FakeTowpath, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"there")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_bytes(b"new")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "c").write_bytes(b"hidden")
    fake.answer("HEAD", f"/api/v1/blobs/{digest(b'there')}", Answer(200))
    fake.answer("HEAD", f"/api/v1/blobs/{digest(b'new')}", Answer(404))
    fake.answer("PUT", f"/api/v1/blobs/{digest(b'new')}", Answer(201, {}))
    _pushed(fake)
    told: dict[str, int] = {}

    def report(doing: str, path: str, count: int) -> None:
        told[doing] = told.get(doing, 0) + count

    made = transfer.push(client, "triage", tmp_path, Description("python"), report=report)

    assert made.uri == "models:/triage/2"
    assert told == {"read": 8, "found": 5, "sent": 3}
    assert [call.content for call in fake.calls if call.method == "PUT"] == [b"new"]
    assert fake.calls[-1].body == {
        "format": "python",
        "files": [
            {"path": "a", "digest": digest(b"there"), "size": 5},
            {"path": "sub/b", "digest": digest(b"new"), "size": 3},
        ],
    }


def test_tags_are_set_on_content_that_was_registered_before(
    client: Towpath, fake: FakeTowpath, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"there")
    fake.answer("HEAD", f"/api/v1/blobs/{digest(b'there')}", Answer(200))
    _pushed(fake, tags={"stage": "trial"})
    fake.answer("PATCH", "/api/v1/models/triage/versions/2", Answer(200, {"uri": "changed"}))

    transfer.push(client, "triage", tmp_path, Description("onnx", tags={"stage": "ready"}))

    assert fake.calls[-1].body == {"tags": {"stage": "ready"}}


@pytest.mark.parametrize("ref", ["triage", "triage@champion", "triage/3", "models:/triage/3"])
def test_versions_are_named_by_number_alias_or_nothing(
    client: Towpath, fake: FakeTowpath, ref: str
) -> None:
    fake.answer("GET", "/api/v1/models/triage", Answer(body={"latest_version": 3}))
    fake.answer("GET", "/api/v1/models/triage/aliases/champion", Answer(body={"version": 3}))
    fake.answer("GET", "/api/v1/models/triage/versions/3", Answer(body={"version": 3}))

    assert transfer.resolve(client, ref).version == 3


@pytest.mark.parametrize("ref", ["Triage", "triage@", "triage/x", "triage/3@a", "hf:a/b", ""])
def test_a_reference_that_is_none_says_how_to_write_it(client: Towpath, ref: str) -> None:
    with pytest.raises(ConfigurationError, match="does not name a version"):
        transfer.resolve(client, ref)
