"""What the front door speaks: nothing leaves this machine in the clear without a word."""

from pathlib import Path
from typing import Any

import pytest

from towpath_server.core.config import Settings
from towpath_server.supervisor import plan
from towpath_server.supervisor.errors import CannotStart


def settings(**given: Any) -> Settings:
    return Settings(**given)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_door_on_this_machine_needs_no_tls(host: str) -> None:
    assert plan.scheme(settings(host=host)) == "http"


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.5", "::", "gateway.example"])
def test_a_door_beyond_it_needs_tls_or_a_word(host: str) -> None:
    files = {"tls_cert_file": Path("cert.pem"), "tls_key_file": Path("key.pem")}

    with pytest.raises(CannotStart, match="would cross the network in the clear"):
        plan.scheme(settings(host=host))
    assert plan.scheme(settings(host=host, insecure=True)) == "http"
    assert plan.scheme(settings(host=host, **files)) == "https"


def test_half_a_certificate_is_refused() -> None:
    with pytest.raises(CannotStart, match="half a certificate"):
        plan.scheme(settings(tls_cert_file=Path("cert.pem")))
