"""Ids, tokens, secrets, sealing, clock: the small pure parts."""

import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from towpath_server.core import clock, ids, suggest, tokens
from towpath_server.core.seal import SealBroken, Sealer
from towpath_server.core.secret import Secret

KEY = Secret("k" * 43)


def test_ids_of_one_kind_sort_by_time() -> None:
    made = [ids.new("prj") for _ in range(1_000)]

    assert made == sorted(made)
    assert len(set(made)) == 1_000
    assert all(ids.is_id(text, "prj") for text in made)


def test_a_known_uuid_is_written_as_the_standard_says() -> None:
    """The example of the TypeID specification."""
    number = int("0188bac74afa78aabc3bbd1eef28d881", 16)

    assert ids.encode(number) == "01h2xcejqtf2nbrexx3vqjhp41"


@given(st.integers(min_value=0, max_value=2**128 - 1), st.integers(0, 2**128 - 1))
def test_ids_sort_as_their_numbers(one: int, other: int) -> None:
    assert (one < other) == (ids.encode(one) < ids.encode(other))


@pytest.mark.parametrize("kind", tokens.KINDS)
def test_a_token_says_its_kind_and_checks_itself(kind: str) -> None:
    token = tokens.mint(kind).reveal()

    assert tokens.PATTERN.fullmatch(token)
    assert tokens.well_formed(token)
    assert tokens.kind_of(token) == kind
    assert tokens.hint(token) == token.split("_")[2][:4]


@given(st.integers(0, 37), st.sampled_from(tokens.ALPHABET))
def test_a_changed_letter_breaks_the_checksum(place: int, letter: str) -> None:
    token = tokens.mint("production").reveal()
    body = list(token.removeprefix("tp_production_"))
    same = body[place] == letter
    body[place] = letter

    assert tokens.well_formed("tp_production_" + "".join(body)) == same


def test_the_checksum_is_the_published_one() -> None:
    """`tp_<kind>_`, 32 characters, and CRC32 of all of it in base62: scanners compute the same."""
    assert tokens.well_formed("tp_sandbox_" + "0" * 32 + tokens._checksum("tp_sandbox_" + "0" * 32))
    assert tokens._checksum("") == "000000"


def test_a_secret_never_shows() -> None:
    secret = Secret("hidden")

    assert "hidden" not in f"{secret} {secret!r} {[secret]} {secret:>20}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_a_secret_in_a_model_is_read_and_never_written() -> None:
    class Body(BaseModel):
        credential: Secret

    body = Body.model_validate_json('{"credential": "hidden"}')

    assert body.credential.reveal() == "hidden"
    assert "hidden" not in body.model_dump_json() + repr(body)
    with pytest.raises(ValidationError) as refused:
        Body.model_validate({"credential": 3})
    assert "a secret is" in str(refused.value)


@given(st.text(), st.text(min_size=1))
def test_what_is_sealed_opens_for_the_same_id_alone(value: str, owner: str) -> None:
    sealer = Sealer(KEY)
    try:
        sealed = sealer.seal(Secret(value), id=owner)
    except UnicodeEncodeError:  # lone surrogates are no text
        return

    assert sealer.open(sealed, id=owner).reveal() == value
    with pytest.raises(SealBroken):
        sealer.open(sealed, id=owner + "x")


@pytest.mark.parametrize("broken", ["", "v1.", "v1.AAAA", "v1.!!!", "v2." + "A" * 60, "ä" * 40])
def test_a_broken_seal_is_an_error_with_a_fix(broken: str) -> None:
    with pytest.raises(SealBroken) as refused:
        Sealer(KEY).open(broken, id="crd_1")

    assert "TOWPATH_SECRET_KEY" in (refused.value.fix or "")


def test_another_key_does_not_open_it() -> None:
    sealed = Sealer(KEY).seal(Secret("hidden"), id="crd_1")

    with pytest.raises(SealBroken):
        Sealer(Secret("o" * 43)).open(sealed, id="crd_1")


def test_a_short_secret_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32"):
        Sealer(Secret("short"))


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_survive_being_stored(at: datetime) -> None:
    stored = clock.from_ms(clock.to_ms(at))

    assert timedelta(0) <= at - stored < timedelta(milliseconds=1)


def test_a_fixed_clock_moves_when_told() -> None:
    fixed = clock.FixedClock(datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))))
    fixed.advance(seconds=1.5)

    assert fixed.now() == datetime(2026, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
    with pytest.raises(ValueError, match="aware"):
        clock.FixedClock(datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_near_name_is_guessed_and_a_far_one_is_not() -> None:
    assert suggest.did_you_mean("smolm2", ["smollm2", "minilm"]) == "Did you mean `smollm2`?"
    assert suggest.did_you_mean("zzz", ["smollm2"]) is None
