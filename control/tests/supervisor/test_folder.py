"""The data folder at start: whole, locked to one supervisor, with secrets that stay."""

import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

from towpath_server.core.folder import MAX_RUN_PATH_BYTES, DataFolder
from towpath_server.core.secret import Secret
from towpath_server.supervisor import folder as folders
from towpath_server.supervisor.errors import CannotStart


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def folder(tmp_path):
    made = DataFolder.at(tmp_path / "data")
    folders.prepare(made)
    yield made
    folders.leave(made)


def test_a_fresh_folder_is_made_for_its_owner_alone(folder):
    modes = {stat.S_IMODE(part.stat().st_mode) for part in folder.parts()}

    assert modes == {0o700}


def test_a_folder_that_cannot_be_made_says_where_and_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(CannotStart) as refused:
        folders.prepare(DataFolder.at(tmp_path / "file" / "data"))

    assert str(tmp_path / "file" / "data") in refused.value.message()
    assert "fix: correct its owner and mode, or choose another: `towpath up --data DIR`" in (
        refused.value.message()
    )


def test_a_full_disk_is_named_before_anything_starts(tmp_path, monkeypatch):
    # No disk can be filled here without harm to other tests; only the figure is replaced.
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda _: Usage(100, 99, 3 * 2**20))

    with pytest.raises(CannotStart, match="is full: 3 MiB are free"):
        folders.prepare(DataFolder.at(tmp_path / "data"))


def test_a_long_path_keeps_its_sockets_within_what_a_socket_address_holds(tmp_path):
    deep = DataFolder.at(tmp_path / ("x" * 100))
    again = DataFolder.at(tmp_path / ("x" * 100))
    other = DataFolder.at(tmp_path / ("y" * 100))

    assert len(str(deep.run)) <= MAX_RUN_PATH_BYTES
    assert deep.run == again.run != other.run


def test_sockets_outside_the_folder_are_not_left_behind(tmp_path):
    deep = DataFolder.at(tmp_path / ("x" * 100))
    folders.prepare(deep)

    folders.leave(deep)

    assert not deep.run.exists()
    assert deep.root.exists()


def test_sockets_inside_the_folder_stay():
    with tempfile.TemporaryDirectory(prefix="t") as short:
        shallow = DataFolder.at(Path(short))
        folders.prepare(shallow)
        folders.leave(shallow)

        assert shallow.run.parent == shallow.root
        assert shallow.run.exists()


def test_a_second_supervisor_on_the_folder_is_told_who_runs_there(folder):
    first = folders.Lock(folder)
    first.acquire()
    first.describe("http://127.0.0.1:8080")
    try:
        with pytest.raises(CannotStart) as refused:
            folders.Lock(folder).acquire()
    finally:
        first.release()

    assert f"another `towpath up` (process {os.getpid()}) runs on `{folder.root}`" in (
        refused.value.what
    )
    assert "serves http://127.0.0.1:8080" in refused.value.what
    assert f"kill {os.getpid()}" in (refused.value.fix or "")


def test_the_lock_is_free_again_once_it_was_given_back(folder):
    first = folders.Lock(folder)
    first.acquire()
    first.release()
    second = folders.Lock(folder)

    second.acquire()

    second.release()


def test_a_secret_is_made_once_and_readable_by_its_owner_alone(folder):
    path = folder.secrets / "secret.key"

    made, kept = folders.secret(path, None), folders.secret(path, None)

    assert made == kept
    assert len(made.reveal()) == 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_secret_that_was_given_is_not_written(folder):
    path = folder.secrets / "secret.key"

    assert folders.secret(path, Secret("g" * 32)) == Secret("g" * 32)
    assert not path.exists()


def test_a_damaged_secret_is_refused_rather_than_replaced(folder):
    path = folder.secrets / "secret.key"
    path.write_text("short")

    with pytest.raises(CannotStart, match="has 5 characters"):
        folders.secret(path, None)


def test_an_orphan_is_found_by_pid_and_start_time(folder):
    pid_file = folder.run / "gateway.pid"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        folders.record(pid_file, process.pid)
        found = folders.orphan(pid_file)
        noted = json.loads(pid_file.read_text())
        pid_file.write_text(json.dumps(noted | {"created": noted["created"] - 100}))
        reused = folders.orphan(pid_file)
        process.communicate(b"\n")

    assert found is not None
    assert found.pid == process.pid
    assert reused is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": "x"}', '{"pid": 0, "created": 0}'])
def test_a_pid_file_that_says_nothing_names_no_orphan(folder, text):
    pid_file = folder.run / "gateway.pid"
    pid_file.write_text(text)

    assert folders.orphan(pid_file) is None
