"""What adapters are tested against."""

from collections.abc import Iterator

import pytest
from buckets import SERVERS, BucketServer


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[BucketServer]:
    """One server for the session; a test that takes it away starts its own."""
    with SERVERS["seaweedfs"]() as server:
        yield server


@pytest.fixture(scope="session")
def versitygw() -> Iterator[BucketServer]:
    """One server for the session; a test that takes it away starts its own."""
    with SERVERS["versitygw"]() as server:
        yield server


@pytest.fixture(params=list(SERVERS))
def bucket_server(request: pytest.FixtureRequest) -> BucketServer:
    """A test that names it, or a store in it, runs on every S3 server."""
    return request.getfixturevalue(request.param)
