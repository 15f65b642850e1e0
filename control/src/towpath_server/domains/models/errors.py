"""What can be wrong with a model."""

from towpath_server.core.errors import Kind, TowpathError


class FilesUnknown(TowpathError):
    """A version names content that the caller has not uploaded."""

    code = "files_unknown"
    kind = Kind.CONFLICT
    title = "Files were not uploaded"
