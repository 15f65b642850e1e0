"""What can be wrong with an endpoint."""

from towpath_server.core.errors import Kind, TowpathError


class EndpointDeclared(TowpathError):
    """The endpoint is part of a deployment and changes with it alone."""

    code = "endpoint_declared"
    kind = Kind.CONFLICT
    title = "Endpoint belongs to a deployment"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The endpoint `{name}` is declared by the deployment of the same name.",
            fix="Change the deployment's manifest, or create an endpoint of another name that has "
            "this deployment as a target.",
        )
