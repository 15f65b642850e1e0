"""Keys are shown once, saved at once, and never in the place of another platform's."""

import stat

import pytest

from towpath_server.supervisor import profile
from towpath_server.supervisor.keys import Keys

HERE = "http://127.0.0.1:8080"
MADE = {"event": "keys", "demo_key": "tp_sandbox_one", "admin_key": "tp_admin_one"}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "config" / "config.toml"


@pytest.fixture
def keys(tmp_path, file):
    return Keys(file, tmp_path / "mark", HERE)


def test_a_first_start_saves_and_shows_both_keys(keys, file):
    keys.announced(MADE)

    assert keys.lines() == [
        ("Address", HERE),
        ("Your key", "tp_sandbox_one   (saved for the CLI; shown only now)"),
        ("Admin key", "tp_admin_one   (saved for the CLI; shown only now)"),
    ]
    assert profile.read(file) == {
        "default": {"address": HERE, "key": "tp_sandbox_one"},
        "admin": {"address": HERE, "admin_key": "tp_admin_one"},
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_later_start_shows_no_key(keys):
    assert keys.lines() == [("Address", HERE)]


def test_the_last_announcement_counts(keys, file):
    """A control plane that was killed before its commit announces other keys the next time."""
    keys.announced(MADE)
    keys.announced(MADE | {"demo_key": "tp_sandbox_two"})

    assert profile.read(file)["default"]["key"] == "tp_sandbox_two"
    assert keys.lines()[1][1].startswith("tp_sandbox_two")


def test_the_key_of_another_platform_is_not_replaced(keys, file):
    work = {"address": "https://ai.example.com", "key": "tp_production_theirs"}
    profile.save(file, {"default": work})

    keys.announced(MADE)

    assert profile.read(file)["default"] == work
    assert profile.read(file)["local"]["key"] == "tp_sandbox_one"
    assert ("Profile", "local: `export TOWPATH_PROFILE=local`") in keys.lines()


def test_the_key_of_a_former_platform_here_is_replaced(keys, file):
    profile.save(file, {"default": {"address": "http://localhost:9999", "key": "old"}})

    keys.announced(MADE)

    assert profile.read(file)["default"]["key"] == "tp_sandbox_one"


def test_a_start_on_another_port_corrects_the_saved_address(tmp_path, keys, file):
    keys.announced(MADE)

    Keys(file, tmp_path / "mark", "http://127.0.0.1:9090").lines()

    assert profile.read(file)["default"] == {
        "address": "http://127.0.0.1:9090",
        "key": "tp_sandbox_one",
    }


def test_another_folders_key_keeps_its_address(tmp_path, keys, file):
    keys.announced(MADE)

    Keys(file, tmp_path / "another mark", "http://127.0.0.1:9090").lines()

    assert profile.read(file)["default"]["address"] == HERE


@pytest.mark.parametrize("content", ["not = [toml", "profiles = 1", "[profiles]\ndefault = 1"])
def test_a_file_that_is_not_understood_is_left_alone_and_the_keys_are_shown(keys, file, content):
    file.parent.mkdir()
    file.write_text(content)

    keys.announced(MADE)

    assert file.read_text() == content
    shown = dict(keys.lines())
    assert shown["Your key"] == "tp_sandbox_one   (shown only now; keep it)"
    assert "could not be saved" in shown["Not saved"]
