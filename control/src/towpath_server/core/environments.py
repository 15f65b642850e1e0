"""Settings of the environments that every project has: whose word is needed, and what expires."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from towpath_server.core import durations


def _duration(text: str) -> str:
    durations.to_ms(text)
    return text


Duration = Annotated[str, Field(max_length=32), AfterValidator(_duration)]
Count = Annotated[int, Field(ge=0, le=10)]


class ApprovalSettings(BaseModel):
    """Whose word a promotion needs, beside that of who asks for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sandbox: Count = Field(
        0, description="Other people who must approve what is promoted to `sandbox`."
    )
    staging: Count = Field(0, description="The same for `staging`.")
    production: Count = Field(1, description="The same for `production`; 0: nobody need approve.")
    lifetime: Duration = Field(
        "7d", description="How long a request waits for its approvals before it expires."
    )

    def needed(self, environment: str) -> int:
        """Return how many other people must approve."""
        return int(getattr(self, environment))

    @property
    def lifetime_ms(self) -> int:
        """How long a request waits, in milliseconds."""
        return durations.to_ms(self.lifetime)


class SandboxSettings(BaseModel):
    """What becomes of deployments that somebody tried out and forgot."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lifetime: Duration = Field(
        "14d",
        description="How long a deployment stays in `sandbox` unless it is renewed; `0s`: it "
        "stays.",
    )
    notice: Duration = Field(
        "3d", description="How long before its end a deployment says that it expires."
    )

    @property
    def lifetime_ms(self) -> int | None:
        """How long a deployment stays, in milliseconds; none: for ever."""
        return durations.to_ms(self.lifetime) or None

    @property
    def notice_ms(self) -> int:
        """How long before its end it says so, in milliseconds."""
        return durations.to_ms(self.notice)
