"""Following models that the platform brings from outside."""

import re
from collections.abc import Callable
from typing import Any

from towpath.cli import formats, output
from towpath.cli.progress import Steps
from towpath.cli.session import Session
from towpath.errors import ConflictError, TowpathError
from towpath.generated.client import Towpath
from towpath.types import Deployment, Environment, Import

SCHEMES = ("hf", "oci", "s3", "https")
POLL_S = 0.5
_MARK = re.compile(r"[@#].*|:[^/]*$")


def is_outside(uri: str) -> bool:
    """Tell whether the platform itself fetches what a URI names."""
    return uri.partition(":")[0] in SCHEMES


def name_of(uri: str) -> str:
    """Make a name for the registry from a URI."""
    scheme, _, rest = uri.partition("://")
    bare = rest.partition(":")[0] if scheme == "hf" else _MARK.sub("", rest)
    last = bare.rstrip("/").rpartition("/")[2]
    return formats.slug(re.sub(r"\.(gguf|onnx|skops|safetensors)$", "", last))


def follow(current: Session, client: Towpath, id_: str, steps: Steps) -> Import:
    """
    Watch an import until it has ended; who stops watching stops nothing else.

    Raises:
        TowpathError: It failed; the error has its fix.
    """
    try:
        found = ended(current, client, id_, lambda one: steps.waiting("Fetched", said(one)))
    except TowpathError:
        steps.clear()
        raise
    what = f"{output.bytes_size(found.bytes.done)} as models:/{found.model}/{found.version}"
    steps.done("Fetched", what)
    return found


def ended(current: Session, client: Towpath, id_: str, show: Callable[[Import], None]) -> Import:
    """
    Wait until an import has ended, and have shown how far it is.

    Raises:
        TowpathError: It failed; the error has its fix.
    """
    while True:
        found = client.imports.get(id_)
        if found.phase == "failed":
            raise TowpathError(
                f"{found.uri} cannot be fetched: {found.message}", code=found.reason, fix=found.fix
            )
        if found.phase == "done":
            return found
        show(found)
        current.sleep(POLL_S)


def said(found: Import) -> str:
    """Say how far an import is."""
    done, total = output.bytes_size(found.bytes.done), found.bytes.total
    if found.retry_at is not None and found.message:
        return f"trying again: {found.message}"
    if found.phase == "queued":
        return "waiting for its turn"
    if found.phase == "registering":
        return "looking at what came"
    return f"fetching {done} of {output.bytes_size(total)}" if total else f"fetching, {done}"


def fetch(
    current: Session,
    client: Towpath,
    name: str,
    uri: str,
    steps: Steps,
    **more: Any,
) -> str:
    """
    Bring a model into the registry, and return the URI of its version.

    Raises:
        TowpathError: It failed, or may not be brought; the error has its fix.
    """
    begun = client.imports.create(name, uri=uri, **more)
    found = follow(current, client, begun.id, steps)
    return f"models:/{found.model}/{found.version}"


def deploy(
    current: Session,
    client: Towpath,
    document: dict[str, Any],
    environment: Environment,
    steps: Steps,
) -> Deployment:
    """Hand a manifest in, as often as its model is on its way still."""
    # What is on its way is followed here: a client that repeats by itself would show nothing.
    once = client.with_options(max_retries=0)
    while True:
        try:
            return once.deployments.create(manifest=document, environment=environment)
        except ConflictError as error:
            if error.code != "source_fetching" or not isinstance(error.body, dict):
                raise
            follow(current, client, str(error.body["import"]), steps)
