"""What a manifest asks of a version before it takes traffic: `smokeTests` and `gates`."""

import json
import re
from typing import Annotated, Any, Literal

from jsonpath_rfc9535 import JSONPathError
from jsonschema.exceptions import SchemaError
from jsonschema.validators import Draft202012Validator
from pydantic import Field, StringConstraints, field_validator, model_validator

from towpath_server.adapters.answers import paths
from towpath_server.core import durations, suggest
from towpath_server.domains.deployments.models.proving import Expectation, SmokeTest
from towpath_server.domains.deployments.schemas.faults import Fault
from towpath_server.domains.deployments.schemas.section import Section
from towpath_server.domains.evaluations.models import Gate

MAX_REQUEST_BYTES = 64 << 10  # a smoke test is an example, not a load
MAX_WAIT_MS = 120_000  # of one answer: what takes longer is not what a deployment waits for
_MAX_PATHS = 20
_MAX_SCHEMA_BYTES = 32 << 10
_SUITE = re.compile(r"([a-z0-9][a-z0-9._-]{0,62})@([A-Za-z0-9][A-Za-z0-9._-]{0,62})")

Operation = Literal["predict", "chat", "embeddings", "completions"]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Expect(Section):
    """What an answer must be like."""

    status: int = Field(200, ge=100, le=599)
    json_path: dict[str, Any] = Field(default_factory=dict, max_length=_MAX_PATHS)
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    max_latency: str | None = None
    first_chunk_within: str | None = None

    @field_validator("json_path")
    @classmethod
    def _readable(cls, value: dict[str, Any]) -> dict[str, Any]:
        for path, rule in value.items():
            try:
                paths.compiled(path)
            except JSONPathError as error:
                raise _wrong(
                    "InvalidJsonPath",
                    f"has `{path[:80]}`, which is no JSON path: {str(error)[:200]}\n"
                    "Write it as `$.outputs[0].label`.",
                ) from error
            _check_rule(path, rule)
        return value

    @field_validator("schema_")
    @classmethod
    def _valid(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is None:
            return None
        if len(json.dumps(value)) > _MAX_SCHEMA_BYTES:
            raise _wrong(
                "TooLarge", "is larger than 32 KiB\nCheck the parts that matter by `jsonPath`."
            )
        try:
            Draft202012Validator.check_schema(value)
        except SchemaError as error:
            raise _wrong(
                "InvalidSchema",
                f"is no JSON schema: {error.message[:200]}\nWrite it as of draft 2020-12.",
            ) from error
        return value

    @field_validator("max_latency", "first_chunk_within")
    @classmethod
    def _duration(cls, value: str | None) -> str | None:
        try:
            good = value is None or 1 <= durations.to_ms(value) <= MAX_WAIT_MS
        except ValueError:
            good = False
        if not good:
            most = durations.from_ms(MAX_WAIT_MS)
            raise _wrong(
                "InvalidDuration",
                f"is no duration from 1ms to {most}\nWrite it as `500ms` or `2s`.",
            )
        return value

    def draft(self) -> Expectation:
        """Read it."""
        latest, first = self.max_latency, self.first_chunk_within
        return Expectation(
            status=self.status,
            values=self.json_path,
            schema=self.schema_,
            max_latency_ms=durations.to_ms(latest) if latest else None,
            first_chunk_ms=durations.to_ms(first) if first else None,
        )


class Test(Section):
    """One request that new replicas answer before they take traffic."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}$")]
    request: dict[str, Any]
    operation: Operation | None = None
    stream: bool = False
    expect: Expect = Field(default_factory=Expect)

    @field_validator("request")
    @classmethod
    def _small(cls, value: dict[str, Any]) -> dict[str, Any]:
        if len(json.dumps(value)) > MAX_REQUEST_BYTES:
            raise _wrong("TooLarge", "is larger than 64 KiB\nA smoke test takes one short example.")
        for name, fix in (
            ("model", "Leave it out: tests call the version that is being deployed."),
            ("stream", "Write `stream: true` beside `request`."),
        ):
            if name in value:
                raise _wrong("ReadOnly", f"names `{name}`\n{fix}")
        return value

    def draft(self) -> SmokeTest:
        """Read it."""
        expect = self.expect.draft()
        return SmokeTest(self.name, self.request, self.operation, self.stream, expect)


class Evaluation(Section):
    """What a suite must have found out."""

    suite: Annotated[str, StringConstraints(min_length=3, max_length=127)]
    metric: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = None
    minimum: Number | None = None
    maximum: Number | None = None
    baseline: Literal["production", "staging"] | None = None
    max_regression: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    @field_validator("suite")
    @classmethod
    def _versioned(cls, value: str) -> str:
        if not _SUITE.fullmatch(value):
            raise _wrong(
                "InvalidSuite",
                "does not name a suite and its version\nWrite it as `triage-golden@7`.",
            )
        return value

    @model_validator(mode="after")
    def _decides(self) -> "Evaluation":
        bounds = (self.minimum, self.maximum, self.baseline)
        bounded = any(bound is not None for bound in bounds)
        if bounded and self.metric is None:
            raise _wrong(
                "InvalidGate", "has a bound and no `metric`\nName the metric that it is a bound of."
            )
        if self.metric is not None and not bounded:
            raise _wrong(
                "InvalidGate",
                "has a metric and no bound\nGive `minimum`, `maximum` or `baseline`, or leave "
                "`metric` out: then the run's own verdict counts.",
            )
        if self.max_regression is not None and self.baseline is None:
            raise _wrong(
                "InvalidGate", "has `maxRegression` and no `baseline`\nName the environment."
            )
        return self

    def draft(self) -> Gate:
        """Read it."""
        suite, _, version = self.suite.partition("@")
        return Gate(
            suite=suite,
            version=version,
            metric=self.metric,
            minimum=self.minimum,
            maximum=self.maximum,
            baseline=self.baseline,
            max_regression=self.max_regression or 0.0,
        )


class Gates(Section):
    """What must have been found out about a version before it takes traffic."""

    evaluations: list[Evaluation] = Field(default_factory=list, max_length=20)

    def draft(self) -> tuple[Gate, ...]:
        """Read them."""
        return tuple(one.draft() for one in self.evaluations)


def _wrong(reason: str, text: str) -> Fault:
    """Make a fault of what goes on after the field's name, and of its fix on a second line."""
    what, _, fix = text.partition("\n")
    return Fault(what, fix, reason)


def _check_rule(path: str, rule: Any) -> None:
    """
    Refuse a rule that could never be meant.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(rule, dict) or not paths.is_rule(rule):
        return
    for name, value in rule.items():
        if name not in paths.RULES:
            hint = suggest.did_you_mean(name, paths.RULES)
            listed = ", ".join(f"`{one}`" for one in paths.RULES)
            raise _wrong(
                "InvalidRule", f"has `{path[:80]}` with `{name}`\n{hint or f'Use {listed}.'}"
            )
        if name == "in" and not isinstance(value, list):
            raise _wrong(
                "InvalidRule", f"has `{path[:80]}` with `in` that is no list\nWrite `in: [a, b]`."
            )
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if name in {"minimum", "maximum"} and not number:
            raise _wrong(
                "InvalidRule", f"has `{path[:80]}` and its `{name}` is no number\nWrite a number."
            )
        if name == "exists" and not isinstance(value, bool):
            raise _wrong(
                "InvalidRule", f"has `{path[:80]}` with `exists: {value}`\nWrite `true` or `false`."
            )
        if name == "matches":
            _check_pattern(path, value)


def _check_pattern(path: str, value: Any) -> None:
    try:
        re.compile(value)
    except (re.error, TypeError, RecursionError) as error:
        raise _wrong(
            "InvalidRule",
            f"has `{path[:80]}` with a pattern that cannot be read: {error}\n"
            "Write a regular expression in quotes.",
        ) from error
