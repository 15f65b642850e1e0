"""Rules of the domains that import-linter cannot say."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

import towpath_server
from towpath_server.api import OPENAI_ROUTERS, ROUTERS
from towpath_server.web.edge import AuthenticatedRoute, StreamingRoute

SOURCE = Path(towpath_server.__file__).parent
DOMAINS = SOURCE / "domains"
FACE = {"service", "models", "errors"}
ONLY_RECORDED = {"evaluations"}
MAY_COMMIT = {SOURCE / "core" / "db.py"}


def sources(folder: Path = SOURCE) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def borrowed(path: Path, tree: ast.Module) -> set[tuple[str, str]]:
    """Return (domain, role) for every import of another domain in `path`."""
    own = path.relative_to(DOMAINS).parts[0]
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        for alias in node.names:
            parts = f"{node.module}.{alias.name}".split(".")
            if parts[:2] == ["towpath_server", "domains"] and len(parts) > 3 and parts[2] != own:
                found.add((parts[2], parts[3]))
    return found


def test_domains_only_touch_each_others_face() -> None:
    offences = {
        (str(path.relative_to(SOURCE)), domain, role)
        for path, tree in sources(DOMAINS)
        for domain, role in borrowed(path, tree)
        if role not in FACE
    }

    assert offences == set()


def test_only_the_egress_client_calls_addresses_that_people_write_down() -> None:
    """
    The others call the platform's own front door, model servers that it started, and the bucket that
    its settings name.
    """
    may = {"adapters/egress.py", "adapters/gateway/client.py", "adapters/localhost/probe.py"}
    may |= {"adapters/localhost/relay.py"}  # to the server beside it, in a network of their own
    may |= {"adapters/objectstore/bucket.py", "adapters/objectstore/s3.py"}
    ways = {
        "obstore",
        "obstore.store",
        "httpx2",
        "http.client",
        "urllib.request",
        "open_connection",
        "create_connection",
    }
    found = {
        path.relative_to(SOURCE).as_posix()
        for path, tree in sources()
        for node in ast.walk(tree)
        if ways & set(called(node))
    }

    assert found == may | {"supervisor/readiness.py"}


def called(node: ast.AST) -> Iterator[str]:
    """Name the modules that a node imports, or the attribute that it uses."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Attribute):
        yield node.attr


def test_only_the_database_commits() -> None:
    offences = {
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path, tree in sources()
        if path not in MAY_COMMIT
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"commit", "rollback"}
    }

    assert offences == set()


def test_nothing_is_imported_inside_a_function() -> None:
    offences = {
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path, tree in sources()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }

    assert offences == set()


@pytest.mark.parametrize("router", [*ROUTERS, *OPENAI_ROUTERS], ids=lambda router: router.prefix)
def test_every_route_passes_the_edge(router) -> None:
    """A route of FastAPI's own would have no principal, no transaction and no audit."""
    routes = [route for route in router.routes if isinstance(route, APIRoute)]

    assert routes
    assert all(isinstance(route, AuthenticatedRoute) for route in routes)


def writing_domains() -> set[str]:
    return {
        route.endpoint.__module__.split(".")[2]
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and (route.methods or set()) & {"POST", "PATCH", "DELETE"}
    }


@pytest.mark.parametrize("domain", sorted(writing_domains()))
def test_a_domain_that_writes_audits_and_matches_revisions(domain: str) -> None:
    roots = [DOMAINS / domain / "service.py", DOMAINS / domain / "service"]
    files = [file for root in roots for file in ([root] if root.is_file() else root.rglob("*.py"))]
    code = "\n".join(file.read_text() for file in files)

    # Limits and budgets append by way of what they have in common.
    assert "audit.append(" in code or "_KIND.audit(" in code
    # What is never changed has no revision to match.
    assert ".match(if_match" in code or domain in ONLY_RECORDED


def test_only_streams_open_their_own_transactions() -> None:
    streaming = {
        route.endpoint.__module__
        for router in (*ROUTERS, *OPENAI_ROUTERS)
        for route in router.routes
        if isinstance(route, StreamingRoute)
    }
    opening = {
        "towpath_server." + ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for path, tree in sources(DOMAINS)
        if path.name == "routes.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"read", "write", "ledger_write"}
        if isinstance(node.value, ast.Attribute) and node.value.attr == "db"
    }

    assert opening <= streaming
