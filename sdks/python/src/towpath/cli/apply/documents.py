"""Reads a folder of declarations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from towpath.cli.apply.kinds import KINDS, MANIFEST, Kind
from towpath.errors import ConfigurationError

API_VERSION = "towpath.dev/v1alpha1"
_MAX_BYTES = 1 << 20
_MAX_DOCUMENTS = 5_000
_TOP = {"apiVersion", "kind", "metadata", "spec"}


@dataclass(frozen=True)
class Declared:
    """One thing that is declared in a file."""

    kind: Kind
    fields: dict[str, Any]
    """What `POST` takes; of a manifest, its name, project and environment."""
    file: Path
    document: dict[str, Any]

    @property
    def called(self) -> str:
        """Name it for a person."""
        return self.kind.called(self.fields)


def read(source: Path, environment: str) -> list[Declared]:
    """
    Read a file, or every YAML and JSON file below a folder, in the order in which things are made.

    Raises:
        ConfigurationError: One cannot be read, or declares something twice or of no known kind.
    """
    declared = [_declared(file, document, environment) for file, document in _documents(source)]
    seen: dict[tuple[Any, ...], Declared] = {}
    for one in declared:
        key = (one.kind.name, *one.kind.key(one.fields))
        if key in seen:
            raise ConfigurationError(
                f"{one.called} is declared in {seen[key].file} and again in {one.file}",
                code="declared_twice",
                fix="leave one of them out",
            )
        seen[key] = one
    order = list(KINDS)
    return sorted(declared, key=lambda one: order.index(one.kind.name))


def _files(source: Path) -> Sequence[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise ConfigurationError(
            f"there is no file or folder {source}", fix="name what is to be applied with `-f`"
        )
    found = [one for one in sorted(source.rglob("*")) if one.suffix in {".yaml", ".yml", ".json"}]
    visible = [
        one
        for one in found
        if not any(part.startswith(".") for part in one.relative_to(source).parts)
    ]
    if not visible:
        raise ConfigurationError(f"{source} holds no YAML or JSON file", fix="name another folder")
    return visible


def _documents(source: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    count = 0
    for file in _files(source):
        if file.stat().st_size > _MAX_BYTES:
            raise ConfigurationError(
                f"{file} is larger than a declaration ever is", fix="keep other files elsewhere"
            )
        try:
            found = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigurationError(
                f"{file} is not YAML: {error}", fix="look at the indentation and the quotes"
            ) from error
        for one in found:
            # Signatures, test data and the like lie beside manifests.
            if isinstance(one, dict) and str(one.get("apiVersion", "")).startswith("towpath.dev/"):
                yield file, one
                count += 1
            if count > _MAX_DOCUMENTS:
                raise ConfigurationError(f"{source} declares more than {_MAX_DOCUMENTS:,} things")


def _declared(file: Path, document: dict[str, Any], environment: str) -> Declared:
    kind = KINDS.get(str(document.get("kind")))
    if kind is None or document.get("apiVersion") != API_VERSION:
        known = ", ".join(KINDS)
        raise ConfigurationError(
            f"{file} declares a `{document.get('kind')}` of {document.get('apiVersion')}",
            code="kind_unknown",
            fix=f"write `apiVersion: {API_VERSION}` and one of {known}",
        )
    unknown = set(document) - _TOP
    metadata, spec = document.get("metadata") or {}, document.get("spec") or {}
    if unknown or not isinstance(metadata, dict) or not isinstance(spec, dict):
        raise ConfigurationError(
            f"{file} declares a {kind.name} with more than metadata and spec",
            code="declaration_invalid",
            fix="what its `POST` takes stands under `spec`",
        )
    if kind.name == MANIFEST:
        fields = {
            "name": metadata.get("name"),
            "project": metadata.get("project"),
            "environment": environment,
        }
    elif kind.whole:
        fields = {"name": metadata.get("name"), "document": document}
    else:
        fields = {
            **{key: metadata[key] for key in ("name", "project", "team") if key in metadata},
            **spec,
        }
    missing = [name for name in kind.identity if kind.put and not fields.get(name)]
    if missing:
        raise ConfigurationError(
            f"{file} declares an {kind.name} without `{missing[0]}`",
            code="declaration_invalid",
            fix=f"write `spec: {{{', '.join(f'{name}: …' for name in kind.identity)}, …}}`",
        )
    return Declared(kind, fields, file, document)
