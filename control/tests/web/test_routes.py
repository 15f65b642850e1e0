"""What the list of routes itself must keep to."""

from examples import EXAMPLES
from routes import ROUTES

from towpath_server.api import openapi_document
from towpath_server.core.access import TABLE

# These exist once a gateway or this machine reported them; their own tests read one.
REPORTED = {"request", "body", "node"}


def test_every_route_has_an_example_and_every_example_a_route() -> None:
    routes = {(route.method, route.path) for route in ROUTES}
    reported = {(r.method, r.path) for r in ROUTES if r.noun in REPORTED and "{" in r.path}

    assert (routes - reported - set(EXAMPLES), set(EXAMPLES) - routes) == (set(), set())


def test_every_route_is_of_a_noun_in_the_table() -> None:
    assert {route.noun for route in ROUTES} <= set(TABLE)


def test_every_noun_in_the_table_has_a_route() -> None:
    assert {route.noun for route in ROUTES} == set(TABLE)


def test_operations_have_ids_of_their_own_and_a_description() -> None:
    document = openapi_document()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]

    assert len(ids) == len(set(ids))
    assert all(operation.get("description") for operation in operations)
