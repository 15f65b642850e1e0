"""
Towpath's client.

```python
from towpath import Towpath

client = Towpath()  # address and key from the environment or ~/.config/towpath/config.toml
answer = client.chat.completions.create(
    model="smollm2", messages=[{"role": "user", "content": "Hello"}]
)
```

`AsyncTowpath` is the same for asyncio. Names are loaded when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from towpath.version import __version__ as __version__

if TYPE_CHECKING:
    from towpath.auth import Credentials as Credentials
    from towpath.client import AsyncTowpath as AsyncTowpath
    from towpath.errors import APIConnectionError as APIConnectionError
    from towpath.errors import APIError as APIError
    from towpath.errors import APIStatusError as APIStatusError
    from towpath.errors import APIStreamError as APIStreamError
    from towpath.errors import APITimeoutError as APITimeoutError
    from towpath.errors import AuthenticationError as AuthenticationError
    from towpath.errors import BadRequestError as BadRequestError
    from towpath.errors import ConfigurationError as ConfigurationError
    from towpath.errors import ConflictError as ConflictError
    from towpath.errors import Finding as Finding
    from towpath.errors import NotFoundError as NotFoundError
    from towpath.errors import PayloadTooLargeError as PayloadTooLargeError
    from towpath.errors import PermissionDeniedError as PermissionDeniedError
    from towpath.errors import PreconditionFailedError as PreconditionFailedError
    from towpath.errors import QuotaExhaustedError as QuotaExhaustedError
    from towpath.errors import RateLimitError as RateLimitError
    from towpath.errors import ServerError as ServerError
    from towpath.errors import TowpathError as TowpathError
    from towpath.errors import UnavailableError as UnavailableError
    from towpath.errors import UnprocessableError as UnprocessableError
    from towpath.generated.client import Towpath as Towpath
    from towpath.generated.paging import Pages as Pages
    from towpath.generated.streaming import Stream as Stream
    from towpath.model import Model as Model
    from towpath.model import Page as Page
    from towpath.paging import AsyncPages as AsyncPages
    from towpath.retry import Retry as Retry
    from towpath.streaming import AsyncStream as AsyncStream
    from towpath.transport import Timeout as Timeout

_ERRORS = (
    "APIConnectionError", "APIError", "APIStatusError", "APIStreamError", "APITimeoutError",
    "AuthenticationError", "BadRequestError", "ConfigurationError", "ConflictError", "Finding",
    "NotFoundError", "PayloadTooLargeError", "PermissionDeniedError", "PreconditionFailedError",
    "QuotaExhaustedError", "RateLimitError", "ServerError", "TowpathError", "UnavailableError",
    "UnprocessableError",
)  # fmt: skip
_HOMES = {
    "AsyncPages": "paging",
    "AsyncStream": "streaming",
    "AsyncTowpath": "client",
    "Credentials": "auth",
    "Model": "model",
    "Page": "model",
    "Pages": "generated.paging",
    "Retry": "retry",
    "Stream": "generated.streaming",
    "Timeout": "transport",
    "Towpath": "generated.client",
    **dict.fromkeys(_ERRORS, "errors"),
}

__all__ = [*_HOMES]  # noqa: PLE0604  one list of names, and it stands above


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module `towpath` has no attribute `{name}`")
    found = getattr(importlib.import_module(f"towpath.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)
