"""A manifest file: its document, where each field stands, and the model's files."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from towpath.errors import ConfigurationError, Finding
from towpath.transfer import LocalFile, local_files

# A manifest is a page or two; larger is some other file.
MAX_MANIFEST_BYTES = 1 << 20


@dataclass(frozen=True)
class Manifest:
    """A manifest and where its fields stand: JSON pointer → line, from 1."""

    file: Path
    document: dict[str, Any]
    lines: dict[str, int]

    @property
    def name(self) -> str:
        """The name of what it declares."""
        return str(self._at("metadata", "name") or "")

    @property
    def project(self) -> str | None:
        """The project that it belongs to, as `team/project`."""
        found = self._at("metadata", "project")
        return None if found is None else str(found)

    @property
    def uri(self) -> str:
        """Where the model comes from."""
        return str(self._at("spec", "model", "uri") or "")

    @property
    def format(self) -> str:
        """The model's format."""
        return str(self._at("spec", "model", "format") or "")

    def with_uri(self, uri: str) -> dict[str, Any]:
        """Return the document with another source of the model."""
        spec = self.document["spec"]
        return {**self.document, "spec": {**spec, "model": {**spec["model"], "uri": uri}}}

    def where(self, pointer: str) -> str:
        """Write where a finding is: file and line of the field, or of what should contain it."""
        path = field_pointer(pointer)
        shown = path.strip("/").replace("/", ".").removeprefix("spec.")
        parent = path
        while parent and parent not in self.lines:
            parent = parent.rpartition("/")[0]
        line = f":{self.lines[parent]}" if parent in self.lines else ""
        return f"{self.file.name}{line}    {shown}".rstrip()

    def finding(self, pointer: str, detail: str, fix: str) -> Finding:
        """Return a finding of our own."""
        return Finding(pointer, detail, fix)

    def _at(self, *path: str) -> Any:
        found: Any = self.document
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found


def field_pointer(pointer: str) -> str:
    """Bring a pointer to the form of the manifest's own."""
    path = pointer.removeprefix("#")
    path = path.replace(".", "/") if "/" not in path else path
    path = path if path.startswith("/") or not path else f"/{path}"
    return path.removeprefix("/body") if path.startswith("/body/") else path


def read(file: Path) -> Manifest:
    """
    Read a manifest.

    Raises:
        ConfigurationError: It is not there, not YAML, or not one document.
    """
    if file.is_dir():
        file = file / "towpath.yaml"
    if not file.is_file():
        raise ConfigurationError(
            f"there is no manifest {file}",
            code="manifest_not_found",
            fix="name it: `towpath deploy FILE`",
        )
    if file.stat().st_size > MAX_MANIFEST_BYTES:
        raise ConfigurationError(
            f"{file} is larger than a manifest ever is", fix="name the manifest, not the model"
        )
    try:
        text = file.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{file} is not UTF-8 text", fix="name the manifest, not the model"
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigurationError(
            f"{file}{line} is not YAML: {error.problem or error}",
            code="invalid_manifest",
            fix="look at the indentation and the quotes of that line",
        ) from error
    if not isinstance(document, dict):
        raise ConfigurationError(
            f"{file} is not a manifest: it has no fields",
            code="invalid_manifest",
            fix="it starts with `apiVersion: towpath.dev/v1alpha1`",
        )
    return Manifest(file, document, dict(positions(node, "")))


def positions(node: yaml.Node | None, pointer: str) -> Iterator[tuple[str, int]]:
    """Yield the line of every field."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = f"{pointer}/{key.value}"
            yield path, key.start_mark.line + 1
            yield from positions(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for at, value in enumerate(node.value):
            path = f"{pointer}/{at}"
            yield path, value.start_mark.line + 1
            yield from positions(value, path)


def model_files(manifest: Manifest) -> Sequence[LocalFile]:
    """
    Return the files that `model.uri: file:…` names, relative to the manifest.

    Raises:
        ConfigurationError: There are none, or something that is no model's.
    """
    root = (manifest.file.parent / manifest.uri.removeprefix("file:")).resolve()
    try:
        return local_files(root)
    except ConfigurationError as error:
        error.message = f"{manifest.where('/spec/model/uri')}: {error.message}"
        error.fix = "the path is relative to the manifest; correct `spec.model.uri`"
        raise


def companions(manifest: Manifest) -> dict[str, Any]:
    """
    Read what lies beside the manifest and describes the model: `signature.json`, `card.md`.

    Raises:
        ConfigurationError: The signature is not a JSON object.
    """
    found: dict[str, Any] = {}
    signature = manifest.file.parent / "signature.json"
    if signature.is_file():
        try:
            found["signature"] = json.loads(signature.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigurationError(
                f"{signature} is not JSON: {error}", fix="correct it, or remove it"
            ) from error
    card = manifest.file.parent / "card.md"
    if card.is_file():
        found["card"] = card.read_text(encoding="utf-8")
    return found
