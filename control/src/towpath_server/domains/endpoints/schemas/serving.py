"""How an endpoint serves, on the wire: each field with its default, and the reason for it."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from towpath_server.core import durations
from towpath_server.domains.endpoints.models.serving import (
    Balance,
    Retries,
    Serving,
    Tier,
    TierLevel,
    TierRule,
    Timeouts,
)
from towpath_server.web.durations import Life, Wait, WaitOrNone
from towpath_server.web.schemas import In, Name, Out

Spread = Literal["weighted", "least_outstanding", "peak_ewma", "prefix"]
Expression = Annotated[str, StringConstraints(min_length=1, max_length=1_024)]


StreamRecovery = Annotated[
    Literal["none", "continue"],
    Field(
        description="What happens to a stream that breaks after its first byte has left. `none`, "
        "the default: it ends with an error event, since a text that two models wrote is not what "
        "one model would have said. `continue`: another replica, target or fallback is asked to go "
        "on from the text that has left; one of them must be able to."
    ),
]


class TimeoutsIn(In):
    """How long each phase of a call may take."""

    connect: Wait = Field(
        "2s",
        description="Until the connection stands. A healthy server on a network of ours answers in "
        "milliseconds.",
    )
    first_byte: Wait = Field(
        "5m",
        description="Until the answer's first byte; on a stream, until the first data event. A "
        "prompt of 100,000 tokens may take minutes to prefill.",
    )
    silence: Wait = Field(
        "1m",
        description="Between two chunks of an answer. The slowest models write a token in a second "
        "or two.",
    )
    total: Wait = Field(
        "10m",
        description="For the whole call, all its attempts. The default of the OpenAI clients.",
    )
    attempt: WaitOrNone = Field(
        "0s",
        description="For one attempt, until its answer may leave: the whole of a plain answer, the "
        "first event of a stream. `0s`, the default: only the other limits hold, since what is a "
        "long answer depends on the model.",
    )

    def draft(self) -> Timeouts:
        """Read it."""
        return Timeouts(
            **{f"{name}_ms": durations.to_ms(text) for name, text in self.model_dump().items()}
        )


class BalanceIn(In):
    """How calls are spread."""

    targets: Spread = Field(
        "weighted",
        description="Among the endpoint's targets. `weighted`, the default: by chance, in "
        "proportion to the weights, which is what weights promise. `least_outstanding`: the one "
        "with the fewest calls in flight for its weight. `peak_ewma`: of two taken by chance, the "
        "quicker one.",
    )
    replicas: Spread | None = Field(
        None,
        description="Among one target's replicas. Default: `prefix` for targets that chat or "
        "complete, since a replica that has the beginning of the prompt in its cache answers much "
        "sooner; else `least_outstanding`.",
    )
    sticky: Literal["key", "user"] | None = Field(
        None,
        description="What keeps going to the same target of a weighted choice: a `key`, or the "
        "request's `user`. Default: nothing, so that shares are exact.",
    )

    def draft(self) -> Balance:
        """Read it."""
        return Balance(self.targets, self.replicas, self.sticky)


class RetriesIn(In):
    """How often a call is tried, over all targets and replicas."""

    attempts: int = Field(
        4,
        ge=1,
        le=32,
        description="Attempts of one call, the first one included. The default lets it meet a dead "
        "replica, a sick target and a good one.",
    )
    budget_percent: int = Field(
        20,
        ge=0,
        le=1_000,
        description="Retries that the endpoint may add to its calls, in percent of them, so that a "
        "sick upstream gets no storm. The default is that of Envoy and Finagle.",
    )
    min_per_second: int = Field(
        10,
        ge=0,
        le=100_000,
        description="Retries per second that are always allowed, for endpoints with few calls.",
    )

    def draft(self) -> Retries:
        """Read it."""
        return Retries(self.attempts, self.budget_percent, self.min_per_second)


class CacheIn(In):
    """Answers kept for exactly equal requests of one project."""

    ttl: Life = Field(
        description="How long an answer is given again. It has no default: only you know how long "
        "yours stay true.",
        examples=["10m"],
    )

    def draft(self) -> int:
        """Read it, in milliseconds."""
        return durations.to_ms(self.ttl)


class TierLevelIn(In):
    """One model of a tiered endpoint."""

    name: Name = Field(examples=["cheap"])
    target: Annotated[str, StringConstraints(min_length=1, max_length=300)] = Field(
        description="Name of one of the endpoint's targets, as they are shown.",
        examples=["vendor/small"],
    )


class TierRuleIn(In):
    """An expression over the request's facts, and the level it chooses."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    when: Expression = Field(description="CEL.", examples=["input_tokens > 4000 || has_tools"])
    level: Name


class MeanLogprobIn(In):
    """An answer that the model itself is not sure of."""

    mean_logprob: float = Field(ge=-100, le=0, allow_inf_nan=False)


class TierIn(In):
    """A choice between models by what is asked, and by whether a cheap answer will do."""

    levels: list[TierLevelIn] = Field(
        min_length=2, max_length=8, description="From cheap to strong."
    )
    rules: list[TierRuleIn] = Field(
        default_factory=list,
        max_length=32,
        description="The first that is true decides; without one, the first level.",
    )
    escalate_on: list[Literal["empty", "refusal", "schema", "length"] | MeanLogprobIn] = Field(
        default_factory=list,
        max_length=8,
        description="When the answer of a level below the last is thrown away and the next level "
        "asked. Default: never, since it holds back the first token.",
    )

    @model_validator(mode="after")
    def _once(self) -> "TierIn":
        names = [rule.name for rule in self.rules]
        if len(set(names)) != len(names):
            raise ValueError("two rules have the same name")
        return self

    def draft(self) -> Tier:
        """Read it."""
        checks = (
            one if isinstance(one, str) else ("mean_logprob", one.mean_logprob)
            for one in self.escalate_on
        )
        return Tier(
            levels=tuple(TierLevel(level.name, level.target) for level in self.levels),
            rules=tuple(TierRule(rule.name, rule.when, rule.level) for rule in self.rules),
            escalate_on=tuple(dict.fromkeys(checks)),
        )


class ServingOut(Out):
    """How an endpoint serves, defaults included."""

    timeouts: dict[str, str]
    balance: dict[str, str | None]
    retries: dict[str, int]
    stream_recovery: str
    cache: dict[str, str] | None
    tier: dict[str, Any] | None = Field(description="Given: the endpoint is tiered.")


def serving_out(serving: Serving) -> dict[str, Any]:
    """Write how an endpoint serves, defaults included."""
    ttl = serving.cache_ttl_ms
    return {
        "timeouts": {
            name.removesuffix("_ms"): durations.from_ms(value)
            for name, value in vars(serving.timeouts).items()
        },
        "balance": vars(serving.balance),
        "retries": vars(serving.retries),
        "stream_recovery": serving.stream_recovery,
        "cache": {"ttl": durations.from_ms(ttl)} if ttl is not None else None,
        "tier": serving.tier.document() if serving.tier else None,
    }
