"""The front door, and `towpath up` itself: what is reached from outside, and what bad starts are told."""

import json
import socket
import sqlite3
from contextlib import closing

import httpx2
import towpath_up
from towpath_up import ADMIN_KEY, Up, eventually

from towpath_server.core.folder import DataFolder

INTERNAL = [
    "/link/v1/routing",
    "/link/v1/usage",
    "/link/v1/signals",
    "/link/v1/bodies",
    "/link/",
    "/api/../link/v1/routing",
    "/api/%2e%2e/link/v1/routing",
    "/api/v1/../../link/v1/routing",
    "//link/v1/routing",
    "/api//link/v1/routing",
    "/api/v1/..%2f..%2flink/v1/routing",
    "/slots",
    "/props",
    "/v1/slots",
    "/health",
    "/v2/repository/index",
    "/v2/logging",
    "/docs",
    "/openapi.json",
    "/.env",
    "/internal",
]


def raw(address: str, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Send a path as it stands; clients would tidy it up."""
    host, _, port = address.removeprefix("http://").partition(":")
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()] + [
        "content-length: 2",
        "",
        "{}",
    ]
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall("\r\n".join(lines).encode())
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    return int(answer.split(b" ", 2)[1]), answer


def test_an_internal_path_does_not_exist_outside(demo: Up):
    """Not even for whoever holds the link's own credential and the platform's key."""
    link = (DataFolder.at(demo.data).secrets / "link.key").read_text()
    answers = {
        (path, method): raw(demo.address, method, path, {"authorization": f"Bearer {token}"})
        for path in INTERNAL
        for method in ("GET", "POST")
        for token in (link, ADMIN_KEY)
    }

    # The `/api/` prefix is the control plane's, which answers 401 and 404 in its own words.
    assert {status for status, _ in answers.values()} <= {400, 401, 404, 405}
    assert not any(b"revocations_to" in body for _, body in answers.values())
    assert not any(b"acknowledged" in body for _, body in answers.values())


def test_what_the_front_door_relays_is_the_control_planes_api(demo: Up):
    with httpx2.Client(base_url=demo.address) as http:
        well_known = http.get("/.well-known/towpath").json()
        contract = http.get(
            "/api/v1/openapi.json", headers={"authorization": f"Bearer {ADMIN_KEY}"}
        )

    assert well_known["inference"]["openai"] == "/v1"
    assert "/api/v1/requests" in contract.json()["paths"]


def test_a_second_up_on_the_same_folder_is_told_who_runs_there(demo: Up):
    status, said = demo.refused()

    assert status == 1
    assert f"another `towpath up` (process {demo.process.pid})" in said
    assert demo.address in said
    assert httpx2.get(f"{demo.address}/readyz").status_code == 200


def test_a_port_that_is_taken_is_named_with_the_fix(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        status, said = Up(tmp_path).refused("--port", str(port))

    assert status == 1
    assert f"error: port {port} on 127.0.0.1 is taken by" in said
    assert f"`towpath up --port {port + 1}`" in said


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    status, said = Up(tmp_path).refused("--data", str(blocked / "data"))

    assert status == 1
    assert f"error: the data folder `{blocked / 'data'}` cannot be written" in said


def test_settings_that_are_wrong_are_all_named_before_anything_starts(tmp_path):
    up = Up(
        tmp_path,
        environment={"TOWPATH_CURRENCY": "euro", "TOWPATH_ADMIN_KEY": "short"},
    )
    status, said = up.refused()

    assert status == 1
    assert "2 settings are not valid" in said
    assert "TOWPATH_CURRENCY" in said
    assert "TOWPATH_ADMIN_KEY" in said
    assert not up.data.exists()


def test_a_database_that_is_newer_than_the_program_is_left_alone(tmp_path):
    with towpath_up.running(tmp_path) as up:
        database = DataFolder.at(up.data).database
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999_later'")
    status, said = Up(tmp_path).refused()

    assert status == 1
    assert "which this program does not know: a later version of Towpath has used it" in said
    assert Up(tmp_path).own_processes() == []


def test_a_restart_keeps_keys_and_data_and_one_ctrl_c_ends_everything(tmp_path):
    with towpath_up.running(tmp_path) as up:
        with up.api() as api:
            api.post("/teams", json={"name": "care"}).raise_for_status()
        status = up.stop()
        left = up.own_processes()
        up.start()
        with up.api() as api:
            teams = [team["name"] for team in api.get("/teams").json()["items"]]

    assert status == 0
    assert left == []
    assert teams == ["care"]


def test_models_outlive_the_control_plane_and_the_supervisor(tmp_path):
    """Whatever is killed, no model is loaded a second time."""
    with towpath_up.running(tmp_path, demo=True) as up:
        before = replicas(up)
        former = up.kill("control")
        up.replaced("control", former)
        with up.api() as api:
            eventually(lambda: api.get("/teams").status_code == 200, "control plane")
        after_control = replicas(up)
        with up.process as process:
            process.kill()
        alone = httpx2.get(f"{up.address}/readyz").status_code
        up.start()
        with up.api(up.demo_key) as api:
            answer = api.post(
                f"{up.address}/v1/embeddings", json={"model": "minilm", "input": "still here"}
            )
        after_up = replicas(up)

    assert alone == 200
    assert answer.status_code == 200, answer.text
    assert before == after_control == after_up
    assert len(before) == 3


def replicas(up: Up) -> dict[str, int]:
    """Return the process of every model server, by replica."""
    found = {}
    for state in DataFolder.at(up.data).replicas.glob("*/state.json"):
        found[state.parent.name] = json.loads(state.read_text())["pid"]
    return found
