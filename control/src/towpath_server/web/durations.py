"""Durations in bodies: texts such as `10s`, each with its bounds."""

from typing import Annotated

from pydantic import AfterValidator, Field

from towpath_server.core import durations


def between(least: str, most: str) -> AfterValidator:
    """Return a check that a duration is within bounds, both included."""
    low, high = durations.to_ms(least), durations.to_ms(most)

    def check(text: str) -> str:
        if not low <= durations.to_ms(text) <= high:
            raise ValueError(f"must be between {least} and {most}")
        return text

    return AfterValidator(check)


_SHAPE = Field(max_length=32, pattern=durations.PATTERN, examples=["10s", "1m30s", "500ms"])

Wait = Annotated[str, _SHAPE, between("1ms", "1h")]
"""How long something of a call may take."""

WaitOrNone = Annotated[str, _SHAPE, between("0s", "1h")]
"""The same, with `0s` for none."""

Life = Annotated[str, _SHAPE, between("1s", "30d")]
"""How long something is kept."""
