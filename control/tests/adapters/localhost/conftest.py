"""A machine for model servers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from machines import Machine

from towpath_server.adapters.localhost.spec import Backoff, Limits, Mode


@pytest.fixture(params=[Mode.OFF, Mode.BEST_EFFORT])
def isolation(request: pytest.FixtureRequest) -> Mode:
    """Everything holds for a process that is shut in as for one that is not."""
    return request.param


@pytest.fixture
async def machine(tmp_path: Path, isolation: Mode) -> AsyncIterator[Machine]:
    backoff = Backoff(0.02, 2.0, 0.1, 60.0)
    limits = Limits(grace_s=5.0, log_bytes=64 << 10, backoff=backoff, isolation=isolation)
    made = Machine(tmp_path / "data", limits)
    await made.replicas.start()
    yield made
    await made.restart()  # finds what a failed test has left
    await made.replicas.stop_all()
