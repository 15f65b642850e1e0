"""What the tests of the client and the command line share: a stand-in, and a home of their own."""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from towpath.cli.main import run
from towpath.cli.session import Session
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


@dataclass(frozen=True)
class Run:
    """What a run of the command line gave."""

    code: int
    out: str
    err: str


class Cli:
    """Runs commands in this process against the stand-in, in no time."""

    def __init__(
        self,
        fake: FakeTowpath,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        home: Path,
    ) -> None:
        self.fake = fake
        self.slept: list[float] = []
        self.home = home
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("TOWPATH_ADDRESS", fake.address)
        monkeypatch.setenv("TOWPATH_API_KEY", "tp_sandbox_" + "k" * 38)

    def __call__(self, *arguments: str, stdin: str = "") -> Run:
        self._monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        session = Session(sleep=self.sleep, now=self.now)
        code = run(arguments, session)
        caught = self._capsys.readouterr()
        return Run(code, self.filtered(caught.out), self.filtered(caught.err))

    def now(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def filtered(self, text: str) -> str:
        for found, shown in ((self.fake.address, "http://towpath"), (str(self.home), "HOME")):
            text = text.replace(found, shown)
        return text


@pytest.fixture
def cli(
    fake: FakeTowpath,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
) -> Cli:
    """Run commands against the stand-in."""
    return Cli(fake, capsys, monkeypatch, home)
