"""What a conversion reads and writes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

_SOURCES = {"hf", "s3", "https"}


@dataclass
class Conversion:
    """A manifest in the making, and what could not be carried over."""

    name: str
    spec: dict[str, Any]
    project: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    """Each setting that has no place, with why or what to do instead."""

    def text(self) -> str:
        """Write the manifest, what is left first."""
        more = {"project": self.project, "labels": self.labels, "annotations": self.annotations}
        metadata = {"name": self.name, **{key: value for key, value in more.items() if value}}
        document = {
            "apiVersion": "towpath.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": metadata,
            "spec": {key: value for key, value in self.spec.items() if value},
        }
        notes = "".join(f"# not carried over: {line}\n" for line in self.left)
        written = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
        if not self.project:
            name = f"  name: {self.name}\n"
            written = written.replace(name, f"{name}  # project: team/name   # whose it is\n", 1)
        return notes + written


class Reader:
    """Reads members of a resource by path, and knows which were never asked for."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._read: set[str] = set()

    def take(self, path: str, default: Any = None) -> Any:
        """Return what stands at `a.b.c`, and count it as carried over."""
        self._read.add(path)
        found: Any = self._document
        for part in path.split("."):
            if not isinstance(found, Mapping) or part not in found:
                return default
            found = found[part]
        return found

    def left(self, root: str | None = None) -> list[str]:
        """List the members (below `root`) that nobody took, as `path: value`."""
        found: list[str] = []
        self._walk(self.take(root) if root else self._document, root or "", found)
        return found

    def _walk(self, value: Any, path: str, found: list[str]) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                place = f"{path}.{key}".lstrip(".")
                if place not in self._read:
                    self._walk(inner, place, found)
        elif value is not None:
            found.append(f"{path}: {value}")


def source(setting: str, uri: str) -> tuple[str, list[str]]:
    """
    Return a model's URI as manifests take it, and what is left to do.

    Args:
        setting: What it is called where it comes from.
    """
    scheme, separator, rest = uri.partition("://")
    if scheme == "oci" and separator:
        registry = rest.partition("/")[0]
        named = "." in registry or ":" in registry or registry == "localhost"
        return (uri, []) if named else (f"oci://docker.io/{rest}", [])
    if scheme == "https" and separator and "#sha256=" not in rest:
        return uri, [f"{setting}: {uri} (add `#sha256=` and the file's digest to it)"]
    if not uri or (separator and scheme in _SOURCES):
        return uri, []
    return "", [f"{setting}: {uri} (register the model: `towpath models push`)"]


def replicas(least: Any, most: Any) -> dict[str, int]:
    """Return `scaling` of two bounds; absent ones are left out."""
    found = {}
    if isinstance(least, int):
        found["minReplicas"] = least
    if isinstance(most, int):
        found["maxReplicas"] = most
    return found


def environment(entries: Any) -> tuple[list[dict[str, str]], list[str]]:
    """Return plain variables, and the names of those whose value comes from elsewhere."""
    plain, foreign = [], []
    pairs = entries.items() if isinstance(entries, Mapping) else ()
    listed = [{"name": key, "value": value} for key, value in pairs] or entries or []
    for one in listed:
        if isinstance(one, Mapping) and "value" in one:
            plain.append({"name": str(one["name"]), "value": str(one["value"])})
        elif isinstance(one, Mapping):
            foreign.append(str(one.get("name")))
    return plain, foreign
