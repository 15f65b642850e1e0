"""What can be wrong with a limit or budget."""

from towpath_server.core.errors import Kind, TowpathError


class SubjectUnmatchable(TowpathError):
    """The parts of a subject exclude each other, so that no call would ever count."""

    code = "subject_unmatchable"
    kind = Kind.INVALID
    title = "Nothing would be counted"


class SetByPlatform(TowpathError):
    """The platform set the rule, and a team cannot loosen it."""

    code = "set_by_platform"
    kind = Kind.FORBIDDEN
    title = "Set by the platform"

    def __init__(self, noun: str, label: str) -> None:
        super().__init__(
            f"The platform set this {noun} of {label}; a team cannot change or delete it.",
            fix=f"Set a tighter {noun} of your own beside it, or ask those who run the platform.",
        )
