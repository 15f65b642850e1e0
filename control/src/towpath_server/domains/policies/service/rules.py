"""What a policy's expressions come to: whether they may be written, and what they say."""

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from towpath_server.core.errors import Finding
from towpath_server.domains.policies.models import Raised, Rules, Validation, Verdict
from towpath_server.domains.policies.service import expressions
from towpath_server.domains.policies.service.expressions import Expression, Failed, Unusable
from towpath_server.domains.policies.service.facts import Facts

MAX_SECONDS = 2.0  # that all policies together may take for one manifest
FAILED = "PolicyFailed"


def check(rules: Rules) -> Sequence[Finding]:
    """Say which expressions may not be written."""
    reader = _Reader(rules)
    reader.ready()
    return reader.findings


def judge(policies: Sequence[Rules], facts: Facts) -> Verdict:
    """
    Say what policies find in a manifest.

    One that cannot be worked out has found that: what nobody could check does not pass.
    """
    raised: list[Raised] = []
    looked = 0
    end = time.monotonic() + MAX_SECONDS
    for rules in policies:
        if not _matches(rules, facts):
            continue
        if time.monotonic() > end:
            raised.append(_failed(rules, "the others took all the time there is"))
            continue
        ready = _ready(rules)
        if any(one.facts & facts.unknown for one in ready.conditions):
            continue
        try:
            applies = all(_true(one, facts) for one in ready.conditions)
        except Failed as error:
            raised.append(_failed(rules, f"{error} in `matchConditions`"))
            applies = False
        looked += applies
        if applies:
            raised += _found(rules, ready, facts)
    return Verdict(raised, looked)


@dataclass(frozen=True)
class _Ready:
    """A policy whose expressions were read."""

    conditions: tuple[Expression, ...]
    validations: tuple[tuple[Validation, Expression, Expression | None, Expression | None], ...]


class _Reader:
    """Reads a policy's expressions, and collects what is wrong with them."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.findings: list[Finding] = []

    def ready(self) -> _Ready:
        variables: dict[str, Expression] = {}
        for index, one in enumerate(self.rules.variables):
            at = f"#/spec/variables/{index}/expression"
            found = self._read(at, one.expression, variables)
            if found is not None:
                variables[one.name] = found
        conditions = [
            self._read(
                f"#/spec/matchConditions/{index}/expression", one.expression, variables, "bool"
            )
            for index, one in enumerate(self.rules.conditions)
        ]
        validations = []
        for index, one in enumerate(self.rules.validations):
            at = f"#/spec/validations/{index}"
            holds = self._read(f"{at}/expression", one.expression, variables, "bool")
            message = self._words(f"{at}/messageExpression", one.message_expression, variables)
            fix = self._words(f"{at}/fixExpression", one.fix_expression, variables)
            if holds is not None:
                validations.append((one, holds, message, fix))
        return _Ready(tuple(one for one in conditions if one), tuple(validations))

    def _words(
        self, at: str, text: str | None, variables: Mapping[str, Expression]
    ) -> Expression | None:
        return None if text is None else self._read(at, text, variables, "string")

    def _read(
        self, at: str, text: str, variables: Mapping[str, Expression], wanted: str = ""
    ) -> Expression | None:
        try:
            return expressions.read(text, variables, wanted)
        except Unusable as error:
            message = f"The expression cannot be used: {error.why}."
            self.findings.append(Finding(at, message, error.fix, reason="InvalidExpression"))
            return None


@functools.lru_cache(maxsize=1_024)
def _ready(rules: Rules) -> _Ready:
    return _Reader(rules).ready()


def _matches(rules: Rules, facts: Facts) -> bool:
    """Tell whether a policy looks at a manifest; what is not known yet is looked at later."""
    match, known = rules.match, facts.values
    for wanted, fact, value in (
        (match.environments, "environment", known["environment"]),
        (match.teams, "team", known["team"]),
        (match.projects, "project", known["project"]),
        (match.runtimes, "runtime", known["runtime"]["name"]),
        (match.formats, "model", known["model"]["format"]),
    ):
        if wanted and (fact in facts.unknown or value not in wanted):
            return False
    return True


def _found(rules: Rules, ready: _Ready, facts: Facts) -> Iterator[Raised]:
    for validation, holds, message, fix in ready.validations:
        needed = holds.facts.union(*(one.facts for one in (message, fix) if one))
        if needed & facts.unknown:
            continue
        try:
            if _true(holds, facts):
                continue
            said = _text(message, facts) if message else validation.message or ""
            advice = _text(fix, facts) if fix else validation.fix
        except Failed as error:
            yield _failed(rules, str(error), validation.path)
            continue
        text = f"{said.rstrip('. ')} (policy `{rules.name}`)."
        finding = Finding(validation.path, text, advice, reason=validation.reason)
        yield Raised(rules.name, rules.mode, finding)


def _true(expression: Expression, facts: Facts) -> bool:
    answer = expressions.value(expression, facts)
    if not isinstance(answer, bool):
        raise Failed("it gives neither true nor false")
    return answer


def _text(expression: Expression, facts: Facts) -> str:
    answer = expressions.value(expression, facts)
    if not isinstance(answer, str):
        raise Failed("its message is no text")
    return answer[:_MAX_TEXT]


def _failed(rules: Rules, why: str, path: str = "#/spec") -> Raised:
    return Raised(
        rules.name,
        rules.mode,
        Finding(
            path,
            f"The policy `{rules.name}` cannot be worked out for this manifest: {why}.",
            f"Whoever owns the policy corrects it: `towpath policies show {rules.name}` has it, "
            "`towpath policies test` tries it out.",
            reason=FAILED,
        ),
    )


_MAX_TEXT = 2_000  # of a message that an expression put together
