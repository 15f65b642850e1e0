"""Which runtimes there are."""

from pathlib import Path

from towpath_server.core import suggest
from towpath_server.core.access import Principal, Verb
from towpath_server.core.errors import NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.runtimes import store
from towpath_server.domains.runtimes.models import Catalog, Runtime


def catalog(folder: Path | None) -> Catalog:
    """
    Return every runtime that this machine knows.

    Raises:
        RuntimeDescriptionInvalid: A description cannot be used.
    """
    return store.load(folder)


def list(known: Catalog, caller: Principal, window: Window) -> Slice[Runtime]:  # noqa: A001
    """List runtimes by name, newest version first."""
    caller.require(Verb.READ, "runtime")
    keys = [cursor(runtime) for runtime in known.runtimes]
    start = keys.index(window.after) + 1 if window.after in keys else 0
    return Slice.cut(known.runtimes[start : start + window.limit + 1], window, key=cursor)


def get(known: Catalog, caller: Principal, name: str) -> Runtime:
    """
    Return the newest version of a runtime.

    Raises:
        NotFound: There is none of this name.
    """
    caller.require(Verb.READ, "runtime")
    runtime = known.find(name)
    if runtime is None:
        raise NotFound("runtime", name, fix=suggest.did_you_mean(name, known.names))
    return runtime


def cursor(runtime: Runtime) -> str:
    """Return where a runtime stands in the list."""
    return f"{runtime.name}@{runtime.version}"
