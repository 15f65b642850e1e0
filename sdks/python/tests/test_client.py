"""What the client promises beyond single calls: settings, answers, connections, types, speed."""

import asyncio
import importlib.metadata
import json
import pickle
import runpy
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import towpath
from towpath import AsyncTowpath, ConfigurationError, Towpath
from towpath.auth import resolve, save_profile
from towpath.errors import of_answer
from towpath.generated.client import Towpath as Blocking
from towpath.generated.resources import artifacts
from towpath.model import Model
from towpath.sse import MAX_EVENT_BYTES, Decoder
from towpath.testing import Answer, FakeTowpath
from towpath.types import Key, RequestRecord, Team

ROOT = Path(__file__).resolve().parents[1]
CHAT = {"id": "c", "choices": [{"index": 0, "message": {"content": "Hello"}}]}


def test_arguments_go_before_environment_before_file(home: Path) -> None:
    save_profile(home / "config.toml", "default", {"address": "http://file", "key": "file-key"})
    env = {"TOWPATH_CONFIG": str(home / "config.toml")}

    assert resolve(env=env).api_key == "file-key"
    env |= {"TOWPATH_ADDRESS": "http://env", "TOWPATH_API_KEY": "env-key"}
    assert resolve(env=env).api_key == "env-key"
    assert resolve(env=env, api_key="mine").api_key == "mine"
    assert resolve(env=env, address="http://arg").address == "http://arg"


def test_a_profiles_key_goes_to_no_other_address(home: Path) -> None:
    save_profile(home / "config.toml", "default", {"address": "http://ours", "key": "ours"})
    env = {"TOWPATH_CONFIG": str(home / "config.toml")}

    with pytest.raises(ConfigurationError) as refused:
        resolve(env=env, address="http://elsewhere")

    assert refused.value.code == "no_api_key"
    assert resolve(env=env, address="http://ours/v1").api_key == "ours"


def test_the_admins_profile_has_the_address_of_the_default_one(home: Path) -> None:
    path = home / "config.toml"
    save_profile(path, "default", {"address": "http://ours", "key": "k"})
    save_profile(path, "admin", {"admin_key": "a"})

    found = resolve(env={"TOWPATH_CONFIG": str(path)}, profile="admin")

    assert (found.address, found.api_key) == ("http://ours", "a")


def test_an_unknown_profile_names_the_known_ones(home: Path) -> None:
    save_profile(home / "config.toml", "default", {"key": "k"})

    with pytest.raises(ConfigurationError, match="no profile `prod`") as refused:
        Towpath(profile="prod")

    assert "default" in (refused.value.fix or "")


@pytest.mark.parametrize("address", ["ftp://x", "localhost:8080", "http://me:pw@host", ""])
def test_what_is_no_address_is_told_before_any_call(address: str) -> None:
    with pytest.raises(ConfigurationError):
        resolve(address=address or "nothing", api_key="k", env={})


def test_a_broken_file_is_told_with_its_path(home: Path) -> None:
    (home / "config.toml").write_text("[profiles")

    with pytest.raises(ConfigurationError, match=r"config\.toml cannot be read"):
        Towpath()


@given(st.text(max_size=40))
def test_any_key_survives_saving(key: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        save_profile(path, "default", {"key": key})
        save_profile(path, "other", {"key": "x"})
        save_profile(path, "default", {"key": key})

        assert towpath.auth.read_profiles(path) == {"default": {"key": key}, "other": {"key": "x"}}


def test_unknown_fields_are_kept_and_null_is_not_missing() -> None:
    team = Team({"id": "team_1", "name": None, "new": {"deep": 1}})

    assert team.new == {"deep": 1}
    assert ("name" in team, "revision" in team) == (True, False)
    assert team.to_dict() == {"id": "team_1", "name": None, "new": {"deep": 1}}
    with pytest.raises(AttributeError, match="no field `revision`"):
        _ = team.revision


def test_times_are_times_and_lists_are_typed() -> None:
    record = RequestRecord({"time": "2026-11-22T18:04:11.213Z", "cost_nano": None})

    assert record.time == datetime(2026, 11, 22, 18, 4, 11, 213_000, UTC)
    assert record.cost_nano is None
    assert record.team is None


def test_a_printed_key_is_shortened() -> None:
    secret = "tp_sandbox_" + "s" * 38

    assert secret not in repr(Key({"id": "key_1", "key": secret}))
    assert secret not in repr(resolve(api_key=secret, address="http://x", env={}))


def test_an_answer_can_be_pickled_and_compared() -> None:
    team = Team({"id": "team_1"}, {"x-request-id": "req_1"})

    again = pickle.loads(pickle.dumps(team))

    assert again == team
    assert again.request_id == "req_1"


def test_an_error_can_be_pickled() -> None:
    error = of_answer(429, {"x-request-id": "req_1"}, b'{"error": {"message": "m", "code": "c"}}')

    again = pickle.loads(pickle.dumps(error))

    assert (type(again), again.code, again.request_id) == (type(error), "c", "req_1")


@given(st.integers(100, 599), st.binary(max_size=400))
def test_no_answer_breaks_the_reading_of_errors(status: int, content: bytes) -> None:
    assert of_answer(status, {}, content).status == status


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["error", "findings", "code", "fix", "message", "detail", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_json_breaks_the_reading_of_errors(body: Any) -> None:
    error = of_answer(400, {}, json.dumps(body).encode())

    assert error.message


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=6))
def test_events_do_not_depend_on_how_bytes_arrive(stream: bytes, cuts: list[int]) -> None:
    whole = Decoder().feed(stream)
    decoder, pieces, last = Decoder(), [], 0
    for cut in [*sorted(cut for cut in cuts if cut < len(stream)), len(stream)]:
        pieces += decoder.feed(stream[last:cut])
        last = cut

    assert pieces == whole


def test_an_endless_event_is_refused() -> None:
    with pytest.raises(towpath.APIStreamError, match="larger than 16 MiB"):
        Decoder().feed(b"data: " + b"x" * (MAX_EVENT_BYTES + 1))


def test_a_connection_serves_many_calls(fake: FakeTowpath) -> None:
    fake.answer("POST", "/v1/chat/completions", Answer(body=CHAT))
    with Towpath(address=fake.address, api_key="k") as client:
        for _ in range(5):
            client.chat.completions.create(model="m", messages=[])
        transport: Any = client._transport

        assert [len(kept) for kept in transport._idle.values()] == [1]


def test_a_connection_the_server_closed_is_not_used_again(fake: FakeTowpath) -> None:
    fake.answer("GET", "/v1/models", Answer(body={"data": []}, headers={"connection": "close"}))
    with Towpath(address=fake.address, api_key="k", max_retries=0) as client:
        for _ in range(3):
            assert client.models.list().data == []


def test_threads_may_share_a_client(fake: FakeTowpath) -> None:
    fake.answer("POST", "/v1/chat/completions", Answer(body=CHAT))
    said: list[str | None] = []

    def ask() -> None:
        for _ in range(10):
            answer = client.chat.completions.create(model="m", messages=[])
            said.append(answer.choices[0].message.content)

    with Towpath(address=fake.address, api_key="k") as client:
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert said == ["Hello"] * 80


async def test_tasks_may_share_a_client(fake: FakeTowpath) -> None:
    fake.answer("POST", "/v1/chat/completions", Answer(body=CHAT))
    async with AsyncTowpath(address=fake.address, api_key="k") as client:
        calls = (client.chat.completions.create(model="m", messages=[]) for _ in range(20))
        answers = await asyncio.gather(*calls)

    assert {answer.choices[0].message.content for answer in answers} == {"Hello"}


def test_leaving_a_stream_early_closes_it(fake: FakeTowpath) -> None:
    event = 'data: {"choices": []}'
    fake.answer("POST", "/v1/chat/completions", Answer(events=[event] * 50))
    fake.answer("GET", "/v1/models", Answer(body={"data": []}))
    with Towpath(address=fake.address, api_key="k") as client:
        with client.chat.completions.create(model="m", messages=[], stream=True) as stream:
            next(stream)

        assert client.models.list().data == []


def test_a_silent_server_is_a_timeout(fake: FakeTowpath) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"http://127.0.0.1:{mute.getsockname()[1]}"
        with (
            Towpath(address=address, api_key="k", timeout=0.05, max_retries=0) as client,
            pytest.raises(towpath.APITimeoutError) as late,
        ):
            client.models.list()

    assert late.value.code == "timeout"


async def test_a_silent_server_is_a_timeout_for_asyncio_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"http://127.0.0.1:{mute.getsockname()[1]}"
        async with AsyncTowpath(
            address=address, api_key="k", timeout=0.05, max_retries=0
        ) as client:
            with pytest.raises(towpath.APITimeoutError):
                await client.models.list()


@pytest.mark.parametrize("size", [0, 1, (1 << 20) + 7])
def test_a_file_is_uploaded_in_pieces(size: int, fake: FakeTowpath, tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"w" * size)
    fake.answer("PUT", "/api/v1/blobs/sha256:1", Answer(503), Answer(201, {"size": size}))
    retry = towpath.Retry(2, chance=lambda: 1.0)
    with Towpath(address=fake.address, api_key="k", retry=retry, transport=NoSleep()) as client:
        client.registry.upload(file, digest="sha256:1")

    assert [len(call.content) for call in fake.calls] == [size, size]


async def test_asyncio_uploads_too(fake: FakeTowpath, tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"w" * 3_000_000)
    fake.answer("PUT", "/api/v1/blobs/sha256:1", Answer(201, {"size": 1}))
    async with AsyncTowpath(address=fake.address, api_key="k") as client:
        await client.registry.upload(file, digest="sha256:1")

    assert [len(call.content) for call in fake.calls] == [3_000_000]


def test_a_large_file_goes_in_pieces_and_on_after_a_cut(
    fake: FakeTowpath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came before the cut is not sent again."""
    for name, size in (("WHOLE_BYTES", 10), ("PIECE_BYTES", 8)):  # else the test would move 48 MiB
        monkeypatch.setattr(artifacts, name, size)
    file = tmp_path / "weights"
    file.write_bytes(bytes(range(20)))
    fake.answer("POST", "/api/v1/uploads", Answer(200, {"id": "upl_1", "offset": 2}))
    where = "/api/v1/uploads/upl_1"
    fake.answer(
        "PATCH",
        where,
        Answer(200, {"id": "upl_1", "offset": 10}),
        Answer(409, {"code": "upload_offset_conflict", "detail": "elsewhere"}),
        Answer(200, {"id": "upl_1", "offset": 20}),
    )
    fake.answer("GET", where, Answer(200, {"id": "upl_1", "offset": 13}))
    fake.answer("POST", f"{where}/finish", Answer(200, {"digest": "sha256:1", "size": 20}))
    told: list[tuple[int, int]] = []
    retry = towpath.Retry(0)
    with Towpath(address=fake.address, api_key="k", retry=retry, transport=NoSleep()) as client:
        client.artifacts.upload(
            file, digest="sha256:1", progress=lambda there, size: told.append((there, size))
        )

    pieces = [
        (int(call.headers["upload-offset"]), list(call.content))
        for call in fake.calls
        if call.method == "PATCH"
    ]
    assert pieces == [
        (2, list(range(2, 10))),
        (10, list(range(10, 18))),
        (13, list(range(13, 20))),
    ]
    # What went out with the call that was refused is told, and taken back.
    assert [there for there, _ in told] == [2, 10, 10, 18, 13, 20, 20]
    assert {size for _, size in told} == {20}


def test_an_upload_that_never_comes_further_ends(
    fake: FakeTowpath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "WHOLE_BYTES", 1)  # else the test would move 32 MiB
    file = tmp_path / "weights"
    file.write_bytes(b"weights")
    fake.answer("POST", "/api/v1/uploads", Answer(201, {"id": "upl_1", "offset": 0}))
    fake.answer("PATCH", "/api/v1/uploads/upl_1", Answer(409, {"code": "upload_offset_conflict"}))
    fake.answer("GET", "/api/v1/uploads/upl_1", Answer(200, {"id": "upl_1", "offset": 0}))
    retry = towpath.Retry(0)
    with (
        Towpath(address=fake.address, api_key="k", retry=retry, transport=NoSleep()) as client,
        pytest.raises(towpath.ConflictError),
    ):
        client.artifacts.upload(file, digest="sha256:1")


class NoSleep(towpath.transport.HTTPTransport):
    """Waits for nothing."""

    def sleep(self, seconds: float) -> None:
        pass


def test_options_make_another_client_on_the_same_connections(fake: FakeTowpath) -> None:
    fake.answer("POST", "/api/v1/teams", Answer(201, {"id": "team_1"}))
    with Towpath(address=fake.address, api_key="k") as client:
        other = client.with_options(idempotency_key="mine", headers={"X-A": "1"}, max_retries=0)
        other.teams.create(name="a")
        client.teams.create(name="a")

    sent = [call.headers for call in fake.calls]
    assert (sent[0]["idempotency-key"], sent[0]["x-a"]) == ("mine", "1")
    assert sent[1]["idempotency-key"] != "mine"
    assert "x-a" not in sent[1]


def test_a_client_can_be_made_without_a_key_for_what_needs_none(fake: FakeTowpath) -> None:
    fake.answer("GET", "/readyz", Answer(503, {"ready": False, "reasons": []}))
    with Towpath(address=fake.address, api_key="") as client:
        health = client.health()

    assert health.ready is False
    assert "authorization" not in fake.calls[0].headers


def test_the_blocking_client_is_what_the_asyncio_one_derives_to() -> None:
    made = runpy.run_path(str(ROOT / "tools" / "derive_sync.py"))["outputs"]()

    stale = [str(path) for path, text in made.items() if path.read_text() != text]

    assert stale == [], "run sdks/python/tools/derive_sync.py"


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = (
        "import sys, towpath; from towpath import Towpath; Towpath(api_key='k', address='http://x');"
        "print(*[n for n in sys.modules if n in {'httpx2', 'asyncio', 'pydantic', 'rich', 'yaml'}])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )

    assert done.stdout.strip() == ""


def test_the_version_is_the_distributions() -> None:
    assert towpath.__version__ == importlib.metadata.version("towpath")


def test_every_public_name_is_there() -> None:
    for name in towpath.__all__:
        assert getattr(towpath, name) is not None
    assert Blocking is towpath.Towpath
    assert issubclass(Team, Model)
    with pytest.raises(AttributeError):
        _ = towpath.nothing


def test_a_proxy_is_used_except_for_this_machine(
    fake: FakeTowpath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in is the proxy here: it sees the whole URL of a host that does not exist."""
    monkeypatch.setenv("HTTP_PROXY", fake.address.replace("//", "//me:p%40w@"))
    monkeypatch.setenv("http_proxy", fake.address.replace("//", "//me:p%40w@"))
    fake.answer("GET", "/v1/models", Answer(body={"data": []}))

    with Towpath(address="http://towpath.invalid", api_key="k", max_retries=0) as client:
        client.models.list()
    with Towpath(address=fake.address, api_key="k", max_retries=0) as client:
        client.models.list()

    far, near = fake.calls
    assert far.headers["host"] == "towpath.invalid"
    assert far.headers["proxy-authorization"] == "Basic bWU6cEB3"
    assert "proxy-authorization" not in near.headers
