"""Tests of policies: a file of cases, what is expected of each, and what was found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from towpath.cli import manifest as files
from towpath.cli import output
from towpath.cli.manifest import Manifest
from towpath.errors import ConfigurationError
from towpath.generated.client import Towpath

# What a case may expect, and the mode of the policies whose findings count there.
EXPECTED = {"findings": "enforce", "warnings": "warn", "audits": "audit"}
DEFAULT = "default:"
_FIELDS = {"policies", "team", "only", "manifest", "environment", "facts", "cases"}
_CASE = {"name", "environment", "manifest", "facts", "expect"}
_FINDING = {"reason", "policy", "path", "message", "fix"}

Expectation = Mapping[str, str]


@dataclass(frozen=True)
class Case:
    """A manifest, and what is to be found in it, by mode."""

    name: str
    sent: Mapping[str, Any]
    expected: Mapping[str, Sequence[Expectation]]


@dataclass(frozen=True)
class Suite:
    """A file of cases."""

    file: Manifest
    policies: Sequence[str] | None
    """Files and defaults to try; none: the policies in force."""
    team: str | None
    only: Sequence[str]
    cases: Sequence[Case]


@dataclass(frozen=True)
class Outcome:
    """What came of a case: what is missing (`-`), and what was not expected (`+`)."""

    name: str
    lines: Sequence[str]

    @property
    def passed(self) -> bool:
        """Whether exactly what was expected was found."""
        return not self.lines


@dataclass(frozen=True)
class Run:
    """What came of a file."""

    file: str
    cases: Sequence[Outcome]

    def document(self) -> dict[str, Any]:
        """Write it for a program."""
        cases = [
            {"name": one.name, "passed": one.passed, "differences": list(one.lines)}
            for one in self.cases
        ]
        return {"file": self.file, "cases": cases}


def read(path: Path) -> Suite:
    """
    Read a file of cases.

    Raises:
        ConfigurationError: It is none.
    """
    file = files.read(path)
    spec = file.document.get("spec")
    if file.document.get("kind") != "PolicyTest" or not isinstance(spec, dict):
        raise _wrong(file, "/kind", "is no test of policies", "write `kind: PolicyTest` and `spec`")
    _known(file, "/spec", spec, _FIELDS)
    cases = spec.get("cases")
    if not isinstance(cases, list) or not cases:
        raise _wrong(file, "/spec/cases", "has no cases", "list at least one under `spec.cases`")
    return Suite(
        file,
        policies=spec.get("policies"),
        team=spec.get("team"),
        only=spec.get("only") or (),
        cases=[_case(file, index, one, spec) for index, one in enumerate(cases)],
    )


def run(client: Towpath, suite: Suite) -> Run:
    """
    Try the policies out, and compare.

    Raises:
        APIStatusError: A policy or a case cannot be used.
        ConfigurationError: A policy's file cannot be read.
    """
    documents = None
    if suite.policies is not None:
        documents = [_policy(client, suite, one) for one in suite.policies]
    sent = [case.sent for case in suite.cases]
    found = client.policies.evaluate(sent, policies=documents, team=suite.team)
    outcomes = []
    for case, answer in zip(suite.cases, found.cases, strict=True):
        raised = [one.to_dict() for one in answer.raised]
        wanted = [one for one in raised if not suite.only or one["policy"] in suite.only]
        outcomes.append(Outcome(case.name, differences(case.expected, wanted)))
    return Run(suite.file.file.name, outcomes)


def differences(
    expected: Mapping[str, Sequence[Expectation]], raised: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Say what is missing, and what was found that nobody expected."""
    lines = []
    left = [*raised]
    for kind, mode in EXPECTED.items():
        for wanted in expected.get(kind, ()):
            match = next((one for one in left if one["mode"] == mode and _fits(one, wanted)), None)
            if match is None:
                what = ", ".join(f"{name} {text}" for name, text in wanted.items())
                lines.append(f"- {kind.removesuffix('s')}: {what}")
            else:
                left.remove(match)
    kinds = {mode: kind.removesuffix("s") for kind, mode in EXPECTED.items()}
    lines += [
        f"+ {kinds[one['mode']]}: reason {one['reason']}, path {one['path']}: {one['message']}"
        for one in left
    ]
    return lines


def write(done: Run) -> None:
    """Write what came of a file."""
    output.data(done.file)
    for case in done.cases:
        output.data(f"  {'✓' if case.passed else '✗'} {output.clean(case.name)}")
        for line in case.lines:
            output.data(f"      {output.clean(line)}")


def merged(base: Any, change: Any) -> Any:
    """Lay a document over another: objects are merged, null takes a field away."""
    if not isinstance(base, dict) or not isinstance(change, dict):
        return change
    whole = {**base}
    for name, value in change.items():
        if value is None:
            whole.pop(name, None)
        else:
            whole[name] = merged(whole.get(name, {}), value)
    return whole


def _case(file: Manifest, index: int, one: Any, spec: Mapping[str, Any]) -> Case:
    at = f"/spec/cases/{index}"
    if not isinstance(one, dict):
        raise _wrong(file, at, "is no case", "write it as an object with `name` and `expect`")
    _known(file, at, one, _CASE)
    environment = one.get("environment", spec.get("environment"))
    if environment is None:
        raise _wrong(file, at, "has no environment", "set `environment` in it or in `spec`")
    manifest = merged(_document(file, spec.get("manifest")), _document(file, one.get("manifest")))
    facts = merged(spec.get("facts") or {}, one.get("facts") or {})
    expect = one.get("expect") or {}
    _known(file, f"{at}/expect", expect, set(EXPECTED))
    return Case(
        name=str(one.get("name", f"case {index + 1}")),
        sent={"environment": environment, "manifest": manifest, "facts": facts},
        expected={
            kind: [_expectation(file, f"{at}/expect/{kind}", entry) for entry in listed]
            for kind, listed in expect.items()
        },
    )


def _expectation(file: Manifest, at: str, entry: Any) -> Expectation:
    if isinstance(entry, str):
        return {"reason": entry}
    if not isinstance(entry, dict):
        raise _wrong(file, at, "is no finding", "write its reason, such as `LicenceMissing`")
    _known(file, at, entry, _FINDING)
    return entry


def _document(file: Manifest, given: Any) -> dict[str, Any]:
    """Return a manifest that stands in the file, or in another one that it names."""
    if isinstance(given, str):
        return files.read(file.file.parent / given).document
    return given or {}


def _policy(client: Towpath, suite: Suite, name: str) -> Mapping[str, Any]:
    if name.startswith(DEFAULT):
        return client.policies.default(name.removeprefix(DEFAULT)).document
    return files.read(suite.file.file.parent / name).document


def _fits(one: Mapping[str, Any], wanted: Expectation) -> bool:
    """Tell whether a finding is as expected; of texts, a part is enough."""
    return all(
        text in (one.get(name) or "") if name in {"message", "fix"} else one.get(name) == text
        for name, text in wanted.items()
    )


def _known(file: Manifest, at: str, found: Any, names: set[str]) -> None:
    for name in found if isinstance(found, dict) else ():
        if name not in names:
            known = ", ".join(f"`{one}`" for one in sorted(names))
            raise _wrong(file, f"{at}/{name}", f"has no field `{name}`", f"fields here: {known}")


def _wrong(file: Manifest, at: str, what: str, fix: str) -> ConfigurationError:
    where = file.where(at).split("    ")[0]
    return ConfigurationError(f"{where} {what}", code="invalid_test", fix=fix)
