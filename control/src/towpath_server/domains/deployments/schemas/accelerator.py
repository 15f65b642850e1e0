"""Which GPUs are meant, where a machine or cluster has several kinds."""

from typing import Annotated

from pydantic import Field, StringConstraints

from towpath_server.domains.deployments.schemas.section import Section


class Accelerator(Section):
    """The class of the GPUs that `resources.limits` counts."""

    class_: Annotated[str, StringConstraints(min_length=1, max_length=63)] = Field(alias="class")

    def draft(self) -> str:
        """Read it."""
        return self.class_
