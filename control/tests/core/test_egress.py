"""Addresses that may be called; the gateway's own tests read the same list."""

from pathlib import Path

import pytest

from towpath_server.core import egress

LIST = Path(__file__).parents[3] / "gateway" / "crates" / "upstream" / "src" / "egress"
ADDRESSES = [
    tuple(line.split(" "))
    for line in (LIST / "addresses.txt").read_text().splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize(("judgement", "address"), ADDRESSES)
def test_both_planes_judge_the_same_addresses_alike(judgement: str, address: str) -> None:
    assert (egress.denied(address, []) is None) == (judgement == "allowed")


@pytest.mark.parametrize(
    "name", ["localhost", "LOCALHOST.", "x.localhost", "metadata.google.internal", "fe80::1%eth0"]
)
def test_names_that_say_what_they_are_are_denied(name: str) -> None:
    assert egress.denied(name, [])


def test_other_names_are_judged_by_their_addresses() -> None:
    assert egress.denied("gpu.internal", []) is None


def test_a_listed_network_is_allowed_and_no_other() -> None:
    allow = [egress.network("127.0.0.0/8")]

    assert egress.denied("127.0.0.1", allow) is None
    assert egress.denied("::ffff:127.0.0.1", allow) is None
    assert egress.denied("localhost", allow) is None
    assert egress.denied("::1", allow)
