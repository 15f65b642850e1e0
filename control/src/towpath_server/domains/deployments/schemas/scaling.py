"""The part of a manifest that says how many replicas there are."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from towpath_server.core import cron, durations
from towpath_server.core.upstream import ColdStart as ColdStartRules
from towpath_server.domains.deployments.models import scaling as models
from towpath_server.domains.deployments.models.scaling import Metric
from towpath_server.domains.deployments.schemas.faults import Fault
from towpath_server.domains.deployments.schemas.section import Section

MAX_REPLICAS = 64  # of one deployment on one machine
_MAX_WAIT_MS = 3_600_000
_MAX_IDLE_MS = 30 * 86_400_000
_MAX_STRETCH_MS = 7 * 86_400_000
_LEAST_IDLE_MS = 1_000
_FULL = 0.7  # of what a replica takes at a time, as Knative's target utilisation

Text = Annotated[str, StringConstraints(min_length=1, max_length=100)]


def read_time(value: str | None, least: int, most: int) -> str | None:
    """
    Check a duration.

    Raises:
        Fault: It is none, or out of its bounds.
    """
    if value is None:
        return None
    try:
        found = durations.to_ms(value)
    except ValueError as error:
        fix = "Write it such as `500ms`, `10s`, `15m` or `12h`."
        raise Fault("is no duration", fix, "InvalidDuration") from error
    if not least <= found <= most:
        bounds = f"{durations.from_ms(least)} and {durations.from_ms(most)}"
        raise Fault(f"must be between {bounds}", "Choose a time in between.", "OutOfRange")
    return value


class Schedule(Section):
    """At least so many replicas from each time of a cron expression on, for a while."""

    cron: Text
    duration: Text
    min_replicas: int = Field(ge=1, le=MAX_REPLICAS)
    timezone: Text = "UTC"

    @field_validator("cron")
    @classmethod
    def _readable(cls, value: str) -> str:
        if not cron.readable(value):
            raise Fault(
                "is no cron expression of five fields",
                "Write minute, hour, day, month and day of the week: `0 7 * * 1-5`.",
                "InvalidCron",
            )
        return value

    @field_validator("duration")
    @classmethod
    def _bounded(cls, value: str) -> str | None:
        return read_time(value, 60_000, _MAX_STRETCH_MS)

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        if not cron.known(value):
            fix = "Use a name of the IANA database, such as `Europe/Vienna`; `UTC` by default."
            raise Fault("is no time zone", fix, "UnknownTimezone")
        return value

    def draft(self) -> models.Minimum:
        """Read it."""
        length = durations.to_ms(self.duration)
        return models.Minimum(self.cron, length, self.min_replicas, self.timezone)


class ColdStart(Section):
    """How long and how many calls wait while it is woken."""

    max_wait: Text | None = None
    max_queued: int | None = Field(None, ge=1, le=100_000)
    progress_after: Text | None = None
    """When a waiting stream gets its first comment line; `0s`: never."""

    @field_validator("max_wait")
    @classmethod
    def _wait(cls, value: str | None) -> str | None:
        return read_time(value, 100, _MAX_WAIT_MS)

    @field_validator("progress_after")
    @classmethod
    def _progress(cls, value: str | None) -> str | None:
        return read_time(value, 0, _MAX_WAIT_MS)

    def draft(self) -> ColdStartRules:
        """Read it."""
        known = ColdStartRules()
        wait, progress = self.max_wait, self.progress_after
        return ColdStartRules(
            max_wait_ms=known.max_wait_ms if wait is None else durations.to_ms(wait),
            max_queued=self.max_queued or known.max_queued,
            progress_after_ms=known.progress_after_ms
            if progress is None
            else durations.to_ms(progress),
        )


class Scaling(Section):
    """How many replicas, and by what their number follows the load."""

    min_replicas: int | None = Field(None, ge=0, le=MAX_REPLICAS)
    max_replicas: int | None = Field(None, ge=1, le=MAX_REPLICAS)
    metric: Literal["concurrency", "rps", "queue", "tokens"] | None = None
    target: float | None = Field(None, gt=0, le=1_000_000_000, validate_default=True)
    """Of the metric, for one replica."""
    max_concurrency: int | None = Field(None, ge=1, le=1_000_000)
    """Calls that one replica takes at a time; more wait in the deployment's queue."""
    idle_timeout: Text | None = None
    """How long nothing was asked before the last replica goes, with `minReplicas: 0`."""
    schedule: list[Schedule] = Field(default_factory=list, max_length=50)
    cold_start: ColdStart | None = None
    prewarm: bool = Field(default=False, strict=True)
    """Wake it before it is usually asked, as it was on the days before."""

    @field_validator("prewarm")
    @classmethod
    def _sleeps(cls, value: Any, info: Any) -> Any:
        if value and info.data.get("min_replicas") != 0:
            fix = "Write `minReplicas: 0`, or remove `prewarm`."
            raise Fault("is for what sleeps", fix, "Contradiction")
        return value

    @field_validator("max_replicas")
    @classmethod
    def _above(cls, value: int | None, info: Any) -> int | None:
        least = info.data.get("min_replicas")
        if value is not None and least is not None and value < least:
            raise Fault(
                f"is below `minReplicas` ({least})",
                f"Write `maxReplicas: {least}` or more, or lower `minReplicas`.",
                "Contradiction",
            )
        return value

    @field_validator("target")
    @classmethod
    def _meant(cls, value: float | None, info: Any) -> float | None:
        metric = info.data.get("metric")
        if value is None and metric not in {None, "concurrency"}:
            raise Fault(
                f"is missing: `{metric}` has no default",
                f"Say how much of it one replica is to have: `target: {_EXAMPLES[metric]}`.",
                "Missing",
            )
        return value

    @field_validator("idle_timeout")
    @classmethod
    def _idle(cls, value: str | None) -> str | None:
        return read_time(value, _LEAST_IDLE_MS, _MAX_IDLE_MS)

    @model_validator(mode="after")
    def _reachable(self) -> "Scaling":
        most = self._most()
        for number, one in enumerate(self.schedule):
            if one.min_replicas > most:
                raise Fault(
                    f"has a schedule (number {number + 1}) with {one.min_replicas} replicas, and "
                    f"`maxReplicas` is {most}",
                    f"Write `maxReplicas: {one.min_replicas}`, or lower the schedule's.",
                    "Contradiction",
                )
        return self

    def _most(self) -> int:
        return self.max_replicas or max(self.min_replicas or 1, 1)

    def draft(self) -> models.Scaling:
        """Read it."""
        least = self.min_replicas
        if least is None:
            # A number alone is one that is always there.
            least = self.max_replicas or 1 if not self._follows else 1
        full = self.max_concurrency * _FULL if self.max_concurrency else models.DEFAULT_TARGET
        idle = self.idle_timeout
        return models.Scaling(
            least=least,
            most=self._most(),
            metric=Metric(self.metric or "concurrency"),
            target=self.target or full,
            idle_ms=models.DEFAULT_IDLE_MS if idle is None else durations.to_ms(idle),
            schedule=tuple(one.draft() for one in self.schedule),
            cold_start=(self.cold_start or ColdStart()).draft(),
            prewarm=self.prewarm,
        )

    @property
    def _follows(self) -> bool:
        """Whether anything says that the number follows the load."""
        return bool(self.metric or self.target or self.idle_timeout or self.schedule)


_EXAMPLES = {"rps": "50", "queue": "4", "tokens": "8000"}
