"""Budgets on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from towpath_server.core.money import from_nano, to_nano
from towpath_server.core.signals import BudgetReport
from towpath_server.domains.budgets.models import (
    Budget,
    BudgetDraft,
    BudgetState,
    Mode,
    Period,
    Unit,
)
from towpath_server.domains.limits.models import PARTS, SubjectDraft
from towpath_server.web.schemas import In, Out, Ref, Resource, at

_MAX = 2**53 - 1  # what JSON numbers hold exactly everywhere; 9 million units of money


def _amount(value: str) -> str:
    if to_nano(value) == 0:
        raise ValueError("must be above 0")
    return value


Tokens = Annotated[int, Field(strict=True, ge=1, le=_MAX, description="Input and output together.")]
Nano = Annotated[
    int,
    Field(strict=True, ge=1, le=_MAX, description="Nano-units of the organisation's currency."),
]
Cost = Annotated[
    str,
    Field(max_length=40, description="The same as a decimal amount.", examples=["250.00"]),
    AfterValidator(_amount),
]
_AMOUNTS = ("tokens", "cost_nano", "cost")


class _Amounts(In):
    tokens: Tokens | None = None
    cost_nano: Nano | None = None
    cost: Cost | None = None

    def amount(self) -> tuple[Unit, int] | None:
        """Return what is given, and in which unit."""
        if self.tokens is not None:
            return Unit.TOKENS, self.tokens
        if self.cost_nano is not None:
            return Unit.COST, self.cost_nano
        return (Unit.COST, to_nano(self.cost)) if self.cost is not None else None


class BudgetCreate(_Amounts):
    """A new budget of one or two of key, project, team and endpoint; of tokens or of money."""

    key: Ref | None = Field(None, description="Id of a key or service account.")
    project: Ref | None = Field(None, description="`team/project`, or the id.")
    team: Ref | None = Field(None, description="Name or id.")
    endpoint: Ref | None = Field(None, description="Name or id.")
    environment: Ref | None = Field(
        None, description="Of the endpoint, where its name exists in several."
    )
    period: Period = Field(description="Calendar periods in UTC; weeks begin on Monday.")
    mode: Mode = Field(
        description="`hard`: calls are refused when it is used up. `soft`: people are told."
    )
    warn_percent: int = Field(
        80, strict=True, ge=1, le=100, description="From this share on people are told."
    )

    @model_validator(mode="after")
    def _of_one_unit(self) -> "BudgetCreate":
        given = [name for name in _AMOUNTS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("exactly one of `tokens`, `cost_nano` and `cost` is needed")
        if self.environment is not None and self.endpoint is None:
            raise ValueError("`environment` is that of an `endpoint`, and none is named")
        return self

    def subject(self) -> SubjectDraft:
        """Read what it is of."""
        parts = {part: getattr(self, part) for part in PARTS}
        return SubjectDraft(**parts, environment=self.environment)

    def draft(self) -> BudgetDraft:
        """Read it."""
        amount = self.amount()
        if amount is None:
            raise AssertionError("validated above")
        return BudgetDraft(*amount, self.period, self.mode, self.warn_percent)


class BudgetUpdate(_Amounts):
    """What may change; what is absent stays. Subject, unit and period stay always."""

    mode: Mode | None = None
    warn_percent: Annotated[int, Field(strict=True, ge=1, le=100)] | None = None

    @model_validator(mode="after")
    def _kept(self) -> "BudgetUpdate":
        for name in self.model_fields_set:
            if getattr(self, name) is None:
                raise ValueError(f"`{name}` cannot be removed")
        if len(self.model_fields_set & set(_AMOUNTS)) > 1:
            raise ValueError("at most one of `tokens`, `cost_nano` and `cost` is needed")
        return self

    def changes(self) -> dict[str, Any]:
        """Return what was sent, as the budget's fields."""
        found = {
            name: getattr(self, name) for name in self.model_fields_set if name not in _AMOUNTS
        }
        amount = self.amount()
        return found | ({"amount": amount[1]} if amount else {})

    def unit(self) -> Unit | None:
        """Return the unit of the amount that was sent."""
        amount = self.amount()
        return amount[0] if amount else None


class BudgetOut(Resource):
    """How much a subject may use in each period."""

    label: str = Field(description="The subject in words, as it is called now.")
    key: str | None = Field(description="Id of the key.")
    project: str | None = Field(description="Id of the project.")
    team: str | None = Field(description="Id of the team.")
    endpoint: str | None = Field(description="Id of the endpoint.")
    set_by: str = Field(description="`platform` or `team`; a team cannot change the former.")
    tokens: int | None
    cost_nano: int | None
    cost: str | None
    period: Period
    mode: Mode
    warn_percent: int

    @classmethod
    def of(cls, budget: Budget) -> "BudgetOut":
        """Write a budget."""
        money = budget.amount if budget.unit is Unit.COST else None
        return cls(
            id=budget.id,
            revision=budget.revision,
            created_at=at(budget.created_at_ms),
            updated_at=at(budget.updated_at_ms),
            label=budget.label,
            **vars(budget.subject),
            set_by=budget.set_by,
            tokens=budget.amount if budget.unit is Unit.TOKENS else None,
            cost_nano=money,
            cost=None if money is None else from_nano(money),
            period=budget.period,
            mode=budget.mode,
            warn_percent=budget.warn_percent,
        )


class BudgetAtGateway(Out):
    """Where a budget stands at one gateway, beyond what the ledger knows, as it said last."""

    gateway: str
    reported_at: datetime
    reserved: int
    unshipped: int
    refused: int = Field(description="Calls refused since the control plane began to listen.")


class BudgetStateOut(Out):
    """Where a budget stands; all amounts in its `unit`."""

    budget: str
    label: str
    unit: str = Field(description="`tokens`, or `cost`: nano-units of the organisation's currency.")
    amount: int
    period_start: datetime
    resets_at: datetime
    used: int = Field(description="By all records in the ledger.")
    unshipped: int = Field(description="By records that are still at the gateways.")
    reserved: int = Field(description="Held for calls in flight.")
    left: int
    refused: int
    level: str = Field(description="`within`, `warned` or `exhausted`.")
    as_of: dict[str, int] = Field(
        description="Up to which of its records each gateway is contained in `used`."
    )
    gateways: list[BudgetAtGateway]

    @classmethod
    def of(cls, state: BudgetState, reports: Sequence[BudgetReport]) -> "BudgetStateOut":
        """Join what the ledger knows and what the gateways said."""
        budget = state.budget
        unshipped = sum(report.unshipped for report in reports)
        reserved = sum(report.reserved for report in reports)
        warned = state.used * 100 >= budget.amount * budget.warn_percent
        exhausted = state.used >= budget.amount
        return cls(
            budget=budget.id,
            label=budget.label,
            unit=budget.unit,
            amount=budget.amount,
            period_start=at(state.period_start_ms),
            resets_at=at(state.period_end_ms),
            used=state.used,
            unshipped=unshipped,
            reserved=reserved,
            left=max(0, budget.amount - state.used - unshipped - reserved),
            refused=sum(report.refused for report in reports),
            level="exhausted" if exhausted else "warned" if warned else "within",
            as_of=dict(state.as_of),
            gateways=[
                BudgetAtGateway(
                    gateway=report.gateway,
                    reported_at=at(report.at_ms),
                    reserved=report.reserved,
                    unshipped=report.unshipped,
                    refused=report.refused,
                )
                for report in reports
            ],
        )
