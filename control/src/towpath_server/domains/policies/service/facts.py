"""What a policy may look at: one table, from which the reference page is made."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from towpath_server.core import suggest
from towpath_server.core.errors import Finding

CODE_FORMATS = frozenset({"mlflow", "pickle", "python", "pytorch", "torchscript"})
"""Formats whose files may carry code, which runs in whatever loads them."""


@dataclass(frozen=True)
class Fact:
    """A name that expressions may use."""

    name: str
    type: str
    """In CEL's words."""
    means: str
    fields: Mapping[str, str] = field(default_factory=dict)
    """What stands in it, where that is always the same."""


FACTS: tuple[Fact, ...] = (
    Fact("manifest", "map", "The whole manifest, as it was sent."),
    Fact("spec", "map", "`manifest.spec`; what the manifest leaves out is not in it."),
    Fact("environment", "string", "`sandbox`, `staging` or `production`."),
    Fact("team", "string", "Name of the team whose project it is."),
    Fact("project", "string", "`team/project`."),
    Fact(
        "caller",
        "map",
        "Who deploys.",
        {
            "kind": "`user`, `service_account`, `key`, `admin` or `system`",
            "role": "`platform`, `admin`, `developer`, else `deploy` for programs",
            "name": "what they are called",
        },
    ),
    Fact(
        "model",
        "map",
        "The registry version that is to be served.",
        {
            "name": "its name",
            "version": "its number",
            "digest": "of its content, `sha256:…`",
            "format": "such as `onnx`",
            "licence": "as it was registered; empty when it has none",
            "size_bytes": "of all its files",
            "tags": "map of its tags",
            "card": "its model card in Markdown; empty when it has none",
            "source": "where it was imported from, such as `hf://acme/triage:…`; else empty",
            "carries_code": "whether its files run code where they are loaded, by their scan",
        },
    ),
    Fact(
        "runtime",
        "map",
        "What serves it.",
        {
            "name": "its name",
            "version": "its version",
            "shipped": "whether it comes with the platform",
            "code_formats": "list of the formats with code that it is made for",
        },
    ),
    Fact(
        "resources",
        "map",
        "What one replica asks for, as numbers; 0 where the manifest does not say.",
        {
            "cpu_milli": "thousandths of a CPU",
            "memory_bytes": "requested",
            "memory_limit_bytes": "at most",
            "gpus": "GPUs; a part of one (MIG) counts as one",
            "replicas": "how many of them",
        },
    ),
    Fact(
        "evaluations",
        "list",
        "The last results of each suite that are on record for exactly this digest: a map for "
        "each metric, of `suite`, `version`, `metric`, `value` and `verdict` (`pass`, `fail`, "
        "`inconclusive`; empty where the run gave none).",
    ),
    Fact("present", "bool", "Whether it changes a deployment that is there."),
    Fact(
        "origin",
        "map",
        "How it comes about.",
        {
            "how": "`manifest` or `promotion`",
            "environment": "where it is promoted from; empty for a manifest",
        },
    ),
)
BY_NAME: Mapping[str, Fact] = {fact.name: fact for fact in FACTS}


_TYPES: Mapping[str, type] = {"map": dict, "list": list, "string": str, "bool": bool}


MAX_DEPTH = 50  # of a manifest


@dataclass(frozen=True)
class Size:
    """How large facts are, as far as it bears on what an expression can cost."""

    nodes: int
    longest: int
    """Entries of the longest list or map."""
    text: int
    """Characters of the longest text."""

    @classmethod
    def of(cls, value: Any) -> "Size":
        """
        Measure a value.

        Raises:
            ValueError: It is nested more than 50 deep.
        """
        nodes = longest = text = 0
        waiting = [(value, 0)]
        while waiting:
            one, depth = waiting.pop()
            if depth > MAX_DEPTH:
                raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
            nodes += 1
            if isinstance(one, str):
                text = max(text, len(one))
            elif isinstance(one, Mapping | Sequence):
                longest = max(longest, len(one))
                inner = one.values() if isinstance(one, Mapping) else one
                waiting += [(entry, depth + 1) for entry in inner]
        return cls(nodes, longest, text)


@dataclass(frozen=True)
class Facts:
    """All that is known of one manifest."""

    values: Mapping[str, Any]
    unknown: frozenset[str] = frozenset()
    """Names of facts that are not known, because the manifest has other faults."""

    @functools.cached_property
    def size(self) -> Size:
        """How large they are."""
        return Size.of(self.values)


def sample(
    manifest: Mapping[str, Any], environment: str, given: Mapping[str, Any]
) -> Mapping[str, Any]:
    """
    Return facts for a manifest that nobody deploys, from what it says itself.

    Args:
        given: Facts that replace these; maps are merged.
    """
    spec = _map(manifest.get("spec"))
    model, runtime = _map(spec.get("model")), _map(spec.get("runtime"))
    project = str(_map(manifest.get("metadata")).get("project", "team/project"))
    uri = str(model.get("uri", "")).partition(":")[2].strip("/")
    name, _, number = uri.partition("/")
    form = str(model.get("format", ""))
    facts: dict[str, Any] = {
        "manifest": manifest,
        "spec": spec,
        "environment": environment,
        "team": project.partition("/")[0],
        "project": project,
        "caller": {"kind": "user", "role": "developer", "name": "somebody"},
        "model": {
            "name": name.partition("@")[0],
            "version": int(number) if number.isdecimal() and len(number) < 10 else 1,
            "digest": str(model.get("digest", "sha256:" + "0" * 64)),
            "format": form,
            "licence": "",
            "size_bytes": 0,
            "tags": {},
            "card": "",
            "source": "",
            "carries_code": form in CODE_FORMATS,
        },
        "runtime": {
            "name": str(runtime.get("name", "")),
            "version": str(runtime.get("version", "1")),
            "shipped": True,
            "code_formats": [],
        },
        "resources": dict.fromkeys(BY_NAME["resources"].fields, 0) | {"replicas": 1},
        "evaluations": [],
        "present": False,
        "origin": {"how": "manifest", "environment": ""},
    }
    for name, value in given.items():
        former = facts[name]
        facts[name] = {**former, **value} if isinstance(former, dict) else value
    return facts


def unfit(given: Mapping[str, Any], *, at: str) -> Sequence[Finding]:
    """Say what of given facts is none, or is not of its type."""
    findings = []
    for name, value in given.items():
        fact = BY_NAME.get(name)
        if fact is None:
            fix = suggest.did_you_mean(name, BY_NAME) or f"Facts: {', '.join(BY_NAME)}."
            findings.append(
                Finding(f"{at}/{name}", f"`{name}` is no fact.", fix, reason="UnknownField")
            )
        elif not isinstance(value, _TYPES[fact.type]):
            findings.append(
                Finding(
                    f"{at}/{name}",
                    f"`{name}` is a {fact.type}.",
                    f"Give a {fact.type}.",
                    reason="WrongType",
                )
            )
    return findings


def reference_table() -> str:
    """Write the table for the reference page."""
    lines = ["| name | type | is |", "|---|---|---|"]
    for fact in FACTS:
        lines.append(f"| `{fact.name}` | {fact.type} | {fact.means} |")
        lines += [f"| `{fact.name}.{name}` | | {means} |" for name, means in fact.fields.items()]
    return "\n".join(lines)


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
