"""Why `towpath up` cannot go on: for the person at the terminal, never for an API caller."""


class CannotStart(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, what: str, *, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def message(self) -> str:
        """Give the message in the form that every command uses."""
        if self.fix is None:
            return f"error: {self.what}"
        return f"error: {self.what}\n\nfix: {self.fix}"
