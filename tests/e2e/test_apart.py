"""Gateway and control plane run apart, on addresses of their own, as on several machines."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gateway_program
import httpx2
import ports
import postgres
import pytest
from fake_upstream import FakeUpstream
from towpath_up import ADMIN_KEY, eventually

BIN = Path(sys.executable).parent
STOP_S = 60


@pytest.fixture
def database() -> Iterator[postgres.Postgres]:
    with postgres.server() as server:
        yield server


@contextmanager
def program(command: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    """Run a part for the length of a block, and end it as an operator does."""
    with (
        log.open("w") as output,
        subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                status = process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
    assert status == 0, log.read_text()


def answers(address: str, path: str) -> bool:
    try:
        return httpx2.get(f"{address}{path}", timeout=5).status_code == 200
    except httpx2.HTTPError:
        return False


def test_a_control_plane_alone_makes_the_data_folder_that_it_needs(tmp_path):
    environment = {
        "PATH": os.defpath,
        "HOME": str(tmp_path),
        "TOWPATH_SECRET_KEY": secrets.token_urlsafe(32),
    }
    data = tmp_path / "new" / "data"

    done = subprocess.run(
        [BIN / "towpath-server", "migrate", "--data", data],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert (data / "control" / "towpath.db").is_file()


def test_two_gateways_on_one_control_plane_and_one_postgresql(
    tmp_path, database, upstream: FakeUpstream
):
    """A key works on both; a revoked one on neither, by the time the revocation has answered."""
    api_port, link_port, first_port, second_port = ports.free(4)
    environment = {
        "PATH": os.defpath,
        "HOME": str(tmp_path),
        "TOWPATH_SECRET_KEY": secrets.token_urlsafe(32),
        "TOWPATH_LINK_CREDENTIAL": secrets.token_urlsafe(32),
        "TOWPATH_ADMIN_KEY": ADMIN_KEY,
        "TOWPATH_DATABASE_URL": database.url(),
        "TOWPATH_GATEWAY_BIN": str(gateway_program.find()),
        "TOWPATH_COMPUTE__ENABLED": "false",
        "TOWPATH_EGRESS_ALLOW": "127.0.0.0/8",
    }
    server = str(BIN / "towpath-server")
    subprocess.run([server, "migrate", "--data", str(tmp_path)], env=environment, check=True)
    serve = [server, "serve", "--no-demo", "--data", str(tmp_path / "control")]
    serve += ["--api", f"127.0.0.1:{api_port}", "--link", f"127.0.0.1:{link_port}"]

    def gateway(port: int) -> list[str]:
        return [
            str(gateway_program.find()),
            *("--data", str(tmp_path / f"gateway-{port}")),
            *("--listen", f"127.0.0.1:{port}"),
            *("--control", f"http://127.0.0.1:{link_port}"),
            *("--api", f"http://127.0.0.1:{api_port}"),
        ]

    doors = [f"http://127.0.0.1:{port}" for port in (first_port, second_port)]
    without = {k: v for k, v in environment.items() if "ADMIN" not in k and "BIN" not in k}
    with (
        program(serve, environment, tmp_path / "control.log"),
        program(gateway(first_port), without, tmp_path / "first.log"),
        program(gateway(second_port), without, tmp_path / "second.log"),
    ):
        for door in doors:
            eventually(lambda door=door: answers(door, "/readyz"), f"readiness of {door}")
        admin = {"authorization": f"Bearer {ADMIN_KEY}"}
        with httpx2.Client(base_url=f"{doors[0]}/api/v1", headers=admin, timeout=30) as api:
            api.post("/teams", json={"name": "care"}).raise_for_status()
            api.post("/projects", json={"team": "care", "name": "chat"}).raise_for_status()
            target = {"url": upstream.base_url, "dialect": "openai", "model": "apart"}
            endpoint = {
                "name": "chat",
                "environment": "production",
                "project": "care/chat",
                "targets": [{"static": target, "weight": 1}],
                "access": {"visibility": "team"},
            }
            api.post("/endpoints", json=endpoint).raise_for_status()
            wanted = {"project": "care/chat", "environment": "production", "name": "one"}
            made = api.post("/keys", json=wanted)
            key = made.json()
            called = [call(door, key["key"]) for door in doors]
            eventually(
                lambda: len(api.get("/requests").json()["items"]) == 2, "record of both gateways"
            )
            gateways = {record["gateway_id"] for record in api.get("/requests").json()["items"]}
            revoked = api.delete(f"/keys/{key['id']}")
            refused = [call(door, key["key"]) for door in doors]

    assert made.headers["x-towpath-applied"] == "true"
    assert called == [200, 200]
    assert len(gateways) == 2
    assert (revoked.status_code, revoked.headers["x-towpath-applied"]) == (204, "true")
    assert refused == [401, 401]


def call(door: str, key: str) -> int:
    """Call the endpoint through one gateway; return the status."""
    body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}
    headers = {"authorization": f"Bearer {key}"}
    return httpx2.post(
        f"{door}/v1/chat/completions", json=body, headers=headers, timeout=30
    ).status_code
