"""The policies that come with the platform: files beside this package, each with its reasons."""

import functools
import importlib.resources
from collections.abc import Sequence

import yaml

from towpath_server.domains.policies.models import Default, Mode

_PACKAGE = "towpath_server.domains.policies"
_FOLDER = "defaults"


@functools.cache
def defaults() -> Sequence[Default]:
    """Return all of them, in order of name."""
    folder = importlib.resources.files(_PACKAGE).joinpath(_FOLDER)
    found = []
    for file in folder.iterdir():
        if not file.name.endswith(".yaml"):
            continue
        text = file.read_text(encoding="utf-8")
        document = yaml.safe_load(text)
        metadata = document["metadata"]
        mode = Mode(document["spec"]["mode"])
        found.append(Default(metadata["name"], mode, metadata["description"], document, text))
    return tuple(sorted(found, key=lambda one: one.name))
