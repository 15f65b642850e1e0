"""What the program publishes is complete: errors, settings, access."""

import importlib
import pkgutil
import re

import towpath_server
from towpath_server.core import access, config
from towpath_server.core.errors import REGISTRY, Kind
from towpath_server.web.problems import STATUS


def import_everything() -> None:
    for module in pkgutil.walk_packages(towpath_server.__path__, "towpath_server."):
        if not module.name.endswith(("__main__", ".env")):  # these run when imported
            importlib.import_module(module.name)


def test_every_kind_of_error_has_a_status() -> None:
    assert set(STATUS) == set(Kind)


def test_every_error_is_documented_and_well_named() -> None:
    import_everything()

    for code, error in REGISTRY.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", code)
        assert error.title
        assert not error.title.endswith(".")
        assert (error.__doc__ or "").strip()
        assert not error.__name__.endswith("Error") or code == "internal_error"


def test_every_setting_says_what_it_is() -> None:
    rows = [row.split("|") for row in config.reference_table().splitlines()[2:]]

    assert len(rows) > 15
    assert [row[1] for row in rows if not row[-2].strip()] == []


def test_the_table_of_access_names_every_noun_once() -> None:
    rows = [row for row in access.reference_table().splitlines() if row.startswith("| ")]

    assert len(rows) == len(access.TABLE) + 1


def test_the_platform_may_do_whatever_anybody_may() -> None:
    """
    Otherwise something could be made that nobody is able to repair.

    Files and batches are made by programs alone, since they are of a key's project and environment;
    the platform may read, cancel and delete them.
    """
    programs_make = {("file", access.Verb.CREATE), ("batch", access.Verb.CREATE)}
    lacking = {
        (noun, verb)
        for noun, rules in access.TABLE.items()
        for verb, roles in rules.items()
        if access.Role.PLATFORM not in roles and access.Role.ANYONE not in roles
    }

    assert lacking == programs_make


def test_an_auditor_changes_nothing() -> None:
    writes = {
        (noun, verb)
        for noun, rules in access.TABLE.items()
        for verb, roles in rules.items()
        if verb is not access.Verb.READ and access.Role.AUDITOR in roles
    }

    assert writes == set()
