"""What the server refuses, as the protocol wants it: a status and one sentence."""


class Refused(Exception):
    """A request that gets `{"error": …}` with `status`."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
