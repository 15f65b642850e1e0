"""Literal addresses that a URL may not have; the gateway's own tests judge the same list."""

import pytest

from towpath_server.core import egress


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::127.0.0.1",
        "2002:7f00:1::",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "169.254.169.254",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "168.63.129.16",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "localhost",
        "LOCALHOST.",
        "metadata.google.internal",
    ],
)
def test_what_lies_inside_is_denied_with_a_reason(host: str) -> None:
    assert egress.denied(host, [])


@pytest.mark.parametrize("host", ["10.1.2.3", "192.168.1.1", "fd12::1", "1.1.1.1", "gpu.internal"])
def test_private_networks_and_names_are_allowed(host: str) -> None:
    assert egress.denied(host, []) is None


def test_a_listed_network_is_allowed_and_no_other() -> None:
    allow = [egress.network("127.0.0.0/8")]

    assert egress.denied("127.0.0.1", allow) is None
    assert egress.denied("::ffff:127.0.0.1", allow) is None
    assert egress.denied("localhost", allow) is None
    assert egress.denied("::1", allow)
