"""From bytes to a plain document, with the line of every part: JSON or YAML, nothing else."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import yaml

from towpath_server.core.errors import Finding, ManifestUnreadable

_MAX_NODES = 10_000  # a manifest has tens; beyond it somebody repeats aliases of aliases
_MAX_DEPTH = 50
_YAML = {"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"}
_JSON = {"application/json", ""}


def read(body: bytes, content_type: str) -> tuple[Any, Mapping[str, int]]:
    """
    Read a body by its content type.

    Raises:
        ManifestUnreadable: It is not a document of that type.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in _JSON | _YAML:
        raise ManifestUnreadable(
            f"A manifest is not sent as `{kind[:100]}`.",
            fix="Send `content-type: application/yaml` or `application/json`.",
        )
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ManifestUnreadable(
            f"The manifest is not UTF-8: byte {error.start} cannot be read.",
            fix="Save the file as UTF-8.",
        ) from error
    return (_json(text), {}) if kind in _JSON else _yaml(text)


def placed(finding: Finding, lines: Mapping[str, int]) -> Finding:
    """Add the line at which the part, or the nearest part around it, stands."""
    pointer = finding.path
    while pointer and pointer not in lines:
        pointer = pointer.rpartition("/")[0]
    line = lines.get(pointer)
    return replace(finding, line=line) if line is not None else finding


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ManifestUnreadable(
            f"The manifest is not valid JSON: {error}.",
            fix="Correct it, or send YAML with `content-type: application/yaml`.",
        ) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"`{twice}` stands twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"`{name}` is not JSON")


def _yaml(text: str) -> tuple[Any, Mapping[str, int]]:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        reader = _Reader()
        document = reader.value(root, "#", 0) if root is not None else None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        what = getattr(error, "problem", None) or str(error) or "it is nested too deeply"
        raise ManifestUnreadable(
            f"The manifest is not valid YAML{where}: {what}.", fix="Correct it and send it again."
        ) from error
    return document, reader.lines


class _Reader:
    """Builds plain values from YAML's nodes, and remembers where each stood."""

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}
        self._nodes = 0
        self._scalars = yaml.constructor.SafeConstructor()

    def value(self, node: yaml.Node, at: str, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > _MAX_NODES or depth > _MAX_DEPTH:
            raise ValueError("it is far larger than a manifest can be")
        self.lines[at] = node.start_mark.line + 1
        if isinstance(node, yaml.SequenceNode):
            return [
                self.value(entry, f"{at}/{index}", depth + 1)
                for index, entry in enumerate(node.value)
            ]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at, depth)
        value = self._scalars.construct_object(node)
        # YAML turns `2026-11-01` into a date, which JSON does not know
        return value if isinstance(value, str | int | float | bool | None) else node.value

    def _mapping(self, node: yaml.MappingNode, at: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ValueError(f"line {line} has a key that is not a text")  # noqa: TRY004
            name = str(key.value)
            if name in found:
                raise ValueError(f"`{name}` stands twice in one object, again at line {line}")
            place = f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
            found[name] = self.value(value, place, depth + 1)
            self.lines[place] = line
        return found
