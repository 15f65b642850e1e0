"""Which proxy stands between: a module of its own, since most calls have none."""

import base64
import urllib.request
from urllib.parse import SplitResult, unquote


def find(scheme: str, host: str) -> str | None:
    """Return the proxy that the environment names for a host, unless it is exempt."""
    proxy = urllib.request.getproxies().get(scheme)
    return proxy if proxy and not urllib.request.proxy_bypass(host) else None


def headers(proxy: SplitResult) -> dict[str, str]:
    """Return how to identify oneself to a proxy."""
    if not proxy.username:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
    return {"proxy-authorization": f"Basic {base64.b64encode(pair).decode()}"}
