"""What `towpath nodes show` prints."""

from typing import Any

from inline_snapshot import snapshot

from towpath.testing import Answer

NODE: dict[str, Any] = {
    "id": "nod_1",
    "revision": 1,
    "created_at": "2026-01-05T10:00:00Z",
    "updated_at": "2026-01-05T10:00:00Z",
    "name": "here",
    "cores": 2,
    "threads": 1,
    "memory_bytes": 24 << 30,
    "disk_bytes": 64 << 30,
    "disk_free_bytes": 32 << 30,
    "artifact_bytes": 1 << 30,
    "artifact_max_bytes": 10 << 30,
    "isolation": {"mode": "best_effort", "measures": {}, "missing": {"cgroup": "no"}},
    "seen_at": "2026-01-05T10:00:00Z",
    "alive": True,
}


def test_a_node_shows_what_its_gpus_are_used_for_and_by_whom(cli: Any) -> None:
    gib = 1 << 30
    whole = {"name": "NVIDIA H100", "gpu_class": "h100-80gb", "memory_bytes": 80 * gib}
    by = {"replica": "rep_1", "deployment": "dep_1", "name": "chat", "environment": "staging"}
    gpus = [
        {
            **whole,
            "uuid": "GPU-1",
            "used_bytes": 60 * gib,
            "utilisation_percent": 97,
            "held_by": by,
        },
        {**whole, "uuid": "GPU-2", "used_bytes": 0, "utilisation_percent": None, "held_by": None},
    ]
    cli.fake.answer("GET", "/api/v1/nodes/here", Answer(200, {**NODE, "gpus": gpus}))

    done = cli("nodes", "show", "here")

    assert done.out == snapshot("""\
id         nod_1
name       here
seen       2026-01-05
cores      2, of which model servers share 1
memory     24.0 GiB
disk       32.0 GiB free of 64.0 GiB
artifacts  1.0 GiB of at most 10.0 GiB
isolation  without cgroup (no)
gpus free  1 of 2 h100-80gb

gpu          class          used    memory  busy  deployment      uuid
NVIDIA H100  h100-80gb  60.0 GiB  80.0 GiB  97 %  chat (staging)  GPU-1
NVIDIA H100  h100-80gb       0 B  80.0 GiB        free            GPU-2
""")
