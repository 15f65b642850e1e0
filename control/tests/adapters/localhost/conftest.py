"""A machine for model servers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from machines import Machine

from towpath_server.adapters.localhost.spec import Backoff, Limits


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    limits = Limits(grace_s=5.0, log_bytes=64 << 10, backoff=Backoff(0.02, 2.0, 0.1, 60.0))
    made = Machine(tmp_path / "data", limits)
    await made.replicas.start()
    yield made
    await made.restart()  # finds what a failed test has left
    await made.replicas.stop_all()
