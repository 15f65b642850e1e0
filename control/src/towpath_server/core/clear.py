"""Whether a secret that is sent to an address could be read on its way."""

import ipaddress
from urllib.parse import urlsplit

_PRIVATE = (".internal", ".local", ".home.arpa", ".svc")
"""Ends of names that no public server answers to."""


def leaks(endpoint: str) -> bool:
    """
    Tell whether it is plain `http:` to a place that is not named as one nearby.

    Nearby are addresses of loopback and of private networks, names without a dot, and names whose
    end is reserved for private use.
    """
    parts = urlsplit(endpoint)
    if parts.scheme != "http":
        return False
    host = (parts.hostname or "").rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." in host and not host.endswith(_PRIVATE)
    return not (address.is_private or address.is_loopback)
