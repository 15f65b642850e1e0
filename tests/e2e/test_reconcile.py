"""The ledger beside what a real llama.cpp server counts itself."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import ports
import pytest
from towpath_up import ADMIN_KEY, ROOT, Up, eventually

SECRET = "a-secret-of-a-model-server-for-tests"
MODEL = ROOT / ".build" / "artifacts" / "smollm2" / "model"


@pytest.fixture
def llama(tmp_path: Path) -> Iterator[str]:
    """Run llama.cpp's server as an organisation would; return its address."""
    (port,) = ports.free(1)
    with (tmp_path / "llama.log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "towpath_runtimes.llama_cpp", "--model", MODEL,
                "--name", "smollm2", "--listen", f"127.0.0.1:{port}", "--threads", "1",
            ],
            env={**os.environ, "TOWPATH_REPLICA_SECRET": SECRET},  # noqa: TID251
            stdout=log,
            stderr=log,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx2.get(f"{address}/health", timeout=5).status_code == 200
        except httpx2.HTTPError:
            return False

    eventually(answers, "the model has loaded", within_s=120)
    yield address
    process.kill()
    process.wait()


def reconcile(up: Up, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    home = {k: v for k, v in os.environ.items() if not k.startswith("TOWPATH_")}  # noqa: TID251
    return subprocess.run(
        [
            Path(sys.prefix) / "bin" / "towpath", "usage", "reconcile",
            "--metrics", f"{url}/metrics", "--credential-stdin", *arguments,
        ],
        env={**home, "TOWPATH_ADDRESS": up.address, "TOWPATH_API_KEY": ADMIN_KEY},
        input=SECRET + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip


def test_the_ledger_has_what_llama_cpp_counts(up: Up, llama: str, tmp_path: Path) -> None:
    """Plain, streamed and repeated calls: equal to the token; and a call past the gateway is seen."""
    static = {"url": f"{llama}/v1", "model": "smollm2", "credential": SECRET, "name": "own"}
    ask = {"messages": [{"role": "user", "content": "Say hello to a barge."}], "max_tokens": 12}
    saved = str(tmp_path / "before.json")
    with up.api() as api:
        for path, body in (
            ("/teams", {"name": "care"}),
            ("/projects", {"team": "care", "name": "chat"}),
            (
                "/endpoints",
                {
                    "name": "llama",
                    "environment": "sandbox",
                    "project": "care/chat",
                    "targets": [{"static": static}],
                },
            ),
        ):
            assert api.post(path, json=body).status_code == 201
        made = api.post(
            "/keys", json={"project": "care/chat", "environment": "sandbox", "name": "k"}
        )
        assert reconcile(up, llama, "--save", saved).returncode == 0
    with up.api(made.json()["key"]) as api:
        for more in ({}, {"stream": True}, {}):
            answer = api.post(
                f"{up.address}/v1/chat/completions", json={"model": "llama", **ask, **more}
            )
            assert answer.status_code == 200, answer.text
    with up.api() as api:

        def recorded() -> bool:
            return len(api.get("/requests?endpoint=llama").json()["items"]) == 3

        eventually(recorded, "all three calls are in the ledger")

    done = reconcile(up, llama, "--since-file", saved, "--target", "own", "--tolerance", "0")
    assert done.returncode == 0, done.stdout + done.stderr

    httpx2.post(
        f"{llama}/v1/chat/completions",
        json={"model": "smollm2", **ask},
        headers={"authorization": f"Bearer {SECRET}"},
        timeout=60,
    ).raise_for_status()
    past = reconcile(up, llama, "--since-file", saved, "--target", "own", "--tolerance", "0")

    assert past.returncode == 1, past.stdout + past.stderr
