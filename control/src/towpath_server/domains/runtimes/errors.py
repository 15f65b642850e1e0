"""What can be wrong with a runtime's description."""

from towpath_server.core.errors import Kind, TowpathError


class RuntimeDescriptionInvalid(TowpathError):
    """A runtime's description cannot be used; the platform does not start with it."""

    code = "runtime_description_invalid"
    kind = Kind.INVALID
    title = "Runtime description is not valid"
