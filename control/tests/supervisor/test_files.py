"""Logs stay within their bound, the CLI's file keeps what others wrote into it."""

import os
import stat
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from towpath_server.supervisor import output, profile


def test_a_log_that_outgrew_its_bound_starts_anew_and_keeps_its_end(tmp_path):
    log = tmp_path / "part.log"
    descriptor = output.open_log(log)
    os.write(descriptor, b"a" * 100 + b"z" * 100)

    assert output.bound(log, max_bytes=100)
    os.write(descriptor, b"next\n")
    os.close(descriptor)

    assert log.read_bytes() == b"next\n"
    assert (tmp_path / "part.log.1").read_bytes() == b"z" * 100


def test_a_log_within_its_bound_is_left_alone(tmp_path):
    log = tmp_path / "part.log"
    log.write_bytes(b"a" * 100)

    assert not output.bound(log, max_bytes=100)
    assert not output.bound(tmp_path / "missing", max_bytes=100)


def test_the_tail_is_what_was_written_since_a_part_started(tmp_path):
    log = tmp_path / "part.log"
    log.write_text("before\nfirst\n\nlast\n")

    assert output.tail(log, start=len("before\n")) == ["first", "last"]
    assert output.tail(tmp_path / "missing") == []


def test_saving_a_profile_keeps_the_other_ones(tmp_path):
    file = tmp_path / "config" / "config.toml"
    profile.save(file, {"work": {"address": "https://work", "key": "k"}})

    profile.save(file, {"default": {"address": "http://here", "key": "one"}})
    profile.save(file, {"default": {"address": "http://here", "key": "two"}})

    assert tomllib.loads(file.read_text()) == {
        "profiles": {
            "work": {"address": "https://work", "key": "k"},
            "default": {"address": "http://here", "key": "two"},
        }
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_comments_and_other_tables_of_the_file_survive(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('# mine\n[profiles.default]\nkey = "old"\n\n[output]\ncolour = "never"\n')

    profile.save(file, {"default": {"key": "new"}})

    assert file.read_text() == (
        '# mine\n[output]\ncolour = "never"\n\n[profiles.default]\nkey = "new"\n'
    )


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_written_so_that_it_reads_back(text):
    assert tomllib.loads(f"a = {profile._quoted(text)}") == {"a": text}
