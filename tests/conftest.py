"""Fixtures of the end-to-end tests: platforms that run, and what they call."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import certificates
import fake_upstream
import pytest
import towpath_up
import trustme
from fake_upstream import FakeUpstream
from towpath_up import Up

_KILLS = int(os.environ.get("TOWPATH_TEST_KILLS", "10"))  # noqa: TID251 (set by `make storm`)
_LEDGER_CALLS = int(os.environ.get("TOWPATH_TEST_LEDGER_CALLS", "5000"))  # noqa: TID251 (as above)
_ACTIVATIONS = int(os.environ.get("TOWPATH_TEST_ACTIVATIONS", "30"))  # noqa: TID251 (as above)
_REPORT = os.environ.get("TOWPATH_TEST_REPORT")  # noqa: TID251 (set by `make storm`)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything that starts the platform is slow, and may take its time."""
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker(pytest.mark.slow)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(300))


@pytest.fixture
def kills() -> int:
    """How often a storm kills: 10 in the tests, 50 in `make storm`."""
    return _KILLS


@pytest.fixture
def ledger_calls() -> int:
    """How many calls the ledger is tested with: 5,000 in the tests, 100,000 in `make storm`."""
    return _LEDGER_CALLS


@pytest.fixture
def activations() -> int:
    """How often a storm wakes models: 30 times in the tests, 1,000 in `make storm`."""
    return _ACTIVATIONS


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Keep a storm's figures, where somebody asked for them."""

    def write(**figures: Any) -> None:
        if _REPORT:
            with Path(_REPORT).open("a") as file:
                file.write(json.dumps({"test": request.node.name, **figures}) + "\n")

    return write


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The platform with its real models, as a first start makes it; tests only call it."""
    with towpath_up.running(tmp_path_factory.mktemp("demo"), demo=True) as up:
        yield up


@pytest.fixture(scope="session")
def upstream() -> Iterator[FakeUpstream]:
    """A scripted upstream, for what a real model cannot do on cue."""
    with fake_upstream.running() as fake:
        yield fake


@pytest.fixture(scope="session")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A platform behind TLS, its certificate of a private authority; tests make names of their own."""
    folder = tmp_path_factory.mktemp("secure")
    files = certificates.write(folder, trustme.CA(), "localhost", "127.0.0.1")
    environment = {
        "TOWPATH_TLS_CERT_FILE": str(files.chain),
        "TOWPATH_TLS_KEY_FILE": str(files.key),
    }
    with towpath_up.running(folder, environment=environment, authority=files.authority) as up:
        yield up


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """A platform without models, for a test that breaks it."""
    with towpath_up.running(tmp_path) as running:
        yield running
