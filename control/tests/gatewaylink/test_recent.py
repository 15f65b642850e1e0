"""What is kept of the last commits: all of what lies between two revisions, or nothing."""

from towpath_server.gatewaylink.entity import Changed, Entity
from towpath_server.gatewaylink.recent import Recent


def entity(id_: str, name: str) -> Entity:
    return Entity("team", id_, {"name": name})


def committed(recent: Recent, revision: int, *upserts: Entity, gone: str | None = None) -> None:
    recent.prepare(revision, Changed(upserts, [("team", gone)] if gone else []))
    recent.committed(revision)


def test_the_last_word_on_each_entity_counts() -> None:
    recent = Recent()
    committed(recent, 7, entity("a", "one"), entity("b", "two"))
    committed(recent, 8, entity("a", "three"), gone="b")

    found = recent.since(6, 8)

    assert found is not None
    assert (list(found.upserts), list(found.deletes)) == ([entity("a", "three")], [("team", "b")])


def test_a_gap_is_read_from_the_database() -> None:
    recent = Recent()
    committed(recent, 7, entity("a", "one"))
    committed(recent, 9, entity("a", "three"))  # 8 was another control plane's

    assert recent.since(6, 9) is None
    assert recent.since(8, 9) is not None
    assert recent.since(9, 10) is None


def test_what_was_not_committed_does_not_count() -> None:
    recent = Recent()
    recent.prepare(7, Changed([entity("a", "rolled back")], []))

    assert recent.since(6, 7) is None

    recent.prepare(7, Changed([entity("a", "committed")], []))
    recent.committed(7)
    found = recent.since(6, 7)

    assert found is not None
    assert list(found.upserts) == [entity("a", "committed")]


def test_large_changes_are_not_kept() -> None:
    recent = Recent()
    committed(recent, 7, *(entity(f"t{number}", "one") for number in range(300)))

    assert recent.since(6, 7) is None
