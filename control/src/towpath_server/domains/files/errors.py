"""Errors of files."""

from towpath_server.core.errors import Kind, TowpathError


class FileTooLarge(TowpathError):
    """An upload is larger than a file may be, or than its project has room for."""

    code = "file_too_large"
    kind = Kind.TOO_LARGE
    title = "File is too large"

    def __init__(self, limit: int, *, project: bool = False) -> None:
        if project:
            super().__init__(
                f"The files of this project would have more than {limit} bytes.",
                fix="Delete files that are no longer needed, or raise the limit in the settings.",
            )
        else:
            super().__init__(
                f"The file is larger than {limit} bytes.",
                fix="Split it into several files, or raise the limit in the settings.",
            )
