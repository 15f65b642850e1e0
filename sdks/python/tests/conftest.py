"""What the tests of the client and the command line share: a stand-in, and a home of their own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from towpath.testing import FakeTowpath


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the person's own configuration out, and the terminal's width and colours too."""
    for name in [*os.environ]:  # noqa: TID251  the process under test reads it
        if name.startswith(("TOWPATH_", "OPENAI_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TOWPATH_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TZ", "UTC")
    return tmp_path


@pytest.fixture
def fake() -> Iterator[FakeTowpath]:
    """Run a stand-in for Towpath."""
    with FakeTowpath() as running:
        yield running
