"""Listeners: a port that is taken is named with the fix, a stale socket file is no obstacle."""

import socket
import stat

import pytest

from towpath_server.supervisor import listeners
from towpath_server.supervisor.errors import CannotStart


def test_port_zero_takes_a_free_one():
    with listeners.bind_door("127.0.0.1", 0) as door:
        assert door.getsockname()[1] > 0


def test_a_port_that_is_taken_is_named_with_its_holder_and_the_fix():
    with listeners.bind_door("127.0.0.1", 0) as door:
        port = door.getsockname()[1]
        with pytest.raises(CannotStart) as refused:
            listeners.bind_door("127.0.0.1", port)

    assert f"port {port} on 127.0.0.1 is taken by" in refused.value.what
    assert refused.value.fix == (
        f"stop that program, or choose another port: `towpath up --port {port + 1}`"
    )


def test_a_socket_left_by_a_former_run_is_replaced(tmp_path):
    path = tmp_path / "api.sock"
    listeners.bind_local(path).close()

    with listeners.bind_local(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_socket_that_cannot_be_made_says_what_to_do(tmp_path):
    with pytest.raises(CannotStart, match="cannot be made"):
        listeners.bind_local(tmp_path / ("x" * 200) / "api.sock")
