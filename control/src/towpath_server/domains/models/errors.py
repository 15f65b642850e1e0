"""What can be wrong with a model."""

from collections.abc import Mapping

from towpath_server.core.errors import Kind, TowpathError


class FilesUnknown(TowpathError):
    """A version names content that the caller has not uploaded."""

    code = "files_unknown"
    kind = Kind.CONFLICT
    title = "Files were not uploaded"


REASONS: Mapping[str, str] = {
    "Invalid": "A value is not written as it must be.",
    "InvalidName": "The model's name has letters that names do not have.",
    "NotJson": "The example of the card is not JSON.",
    "SignatureMismatch": "The signature that is given cannot be that of the model's files.",
    "TooMany": "There are more than may be.",
    "UnknownFormat": "The format is none, and no runtime's.",
    "WrongType": "The example of the card is no request.",
}
"""Why a version is not registered, beside what the scan finds."""
