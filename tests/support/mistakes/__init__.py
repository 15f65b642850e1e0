"""
Mistakes that people make in manifests and promotions, and what each must be answered with.

One list for the test that makes each of them, and for the page that says what each reason means.
"""

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
FILES = (
    "schema",
    "model",
    "runtime",
    "resources",
    "quota",
    "access",
    "proving",
    "overrides",
    "promotion",
)
ANYTHING = "…"  # in a fix: what differs from machine to machine


@dataclass(frozen=True)
class Mistake:
    """One mistake: the manifest, where it is sent, and the finding."""

    mistake: str
    at: str
    reason: str
    fix: str
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """What is different from the manifest of `triage`; null leaves a part out."""
    environment: str = "sandbox"
    caller: str = "developer"
    quota: Mapping[str, Any] | None = None
    """The team's quota in that environment, where it has one."""
    promote: Mapping[str, Any] | None = None
    """A promotion that is sent in place of a manifest…"""
    deployment: str = "served"
    """…of this one, from staging: `served` is Ready, `waiting` is not."""
    policies: Mapping[str, str] = field(default_factory=dict)
    """Policies that come with the platform and are in force, with their mode."""
    status: int = 422
    also: tuple[str, ...] = ()
    """Places of further findings that come with it."""

    def fixed_by(self, fix: str) -> bool:
        """Tell whether a fix is the one that is expected."""
        parts = [re.escape(part) for part in self.fix.split(ANYTHING)]
        return re.fullmatch(".*".join(parts), fix) is not None

    @property
    def to(self) -> str:
        """Return the environment that it would change."""
        return self.environment if self.promote is None else str(self.promote["to"])

    def document(self) -> dict[str, Any]:
        """Return the manifest with the mistake in it."""
        return _merged(copy.deepcopy(BASE), self.manifest)


BASE: dict[str, Any] = {
    "apiVersion": "towpath.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "triage", "project": "care/triage"},
    "spec": {"model": {"uri": "models:/triage/1"}, "runtime": {"name": "tiny"}},
}


def catalogue() -> list[Mistake]:
    """Return all of them, in the order of the files."""
    return list(_read())


def reasons() -> dict[str, str]:
    """Return what each reason means."""
    found: dict[str, str] = yaml.safe_load((FOLDER / "reasons.yaml").read_text("utf-8"))
    return found


def _read() -> Iterator[Mistake]:
    for name in FILES:
        for entry in yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8")):
            yield Mistake(**{**entry, "also": tuple(entry.get("also", ()))})


def _merged(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in changes.items():
        if value is None:
            base.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(base.get(name), dict):
            _merged(base[name], value)
        else:
            base[name] = copy.deepcopy(value)
    return base
