"""GPUs as NVML tells of them, each with one owner: NVML's C functions are played here."""

import ctypes
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pynvml
import pytest
from machines import Machine, spec

from towpath_server.adapters.compute import GpuUse, State
from towpath_server.adapters.localhost import gpus
from towpath_server.adapters.localhost.gpus import Gpus, NoGpu
from towpath_server.adapters.localhost.spec import Backoff, Limits, Mode

GIB = 1 << 30
NOT_SUPPORTED = 3
NOT_FOUND = 6
H100 = {"name": b"NVIDIA H100 80GB HBM3", "uuid": b"GPU-aaaa", "memory": 80 * GIB}
A100 = {
    "name": b"NVIDIA A100-SXM4-40GB",
    "uuid": b"GPU-bbbb",
    "memory": 40 * GIB,
    "parts": [
        {"name": b"NVIDIA A100-SXM4-40GB MIG 1g.5gb", "uuid": b"MIG-cccc", "memory": 5 * GIB},
        {"name": b"NVIDIA A100-SXM4-40GB MIG 2g.10gb", "uuid": b"MIG-dddd", "memory": 10 * GIB},
    ],
}


class Library:
    """The driver's library, as far as it is called: functions by their C names."""

    def __init__(self, *devices: dict[str, Any]) -> None:
        self._handles = [*devices, *(p for one in devices for p in one.get("parts", ()))]
        self._devices = devices

    def __getattr__(self, name: str) -> Any:
        plain = name.removesuffix("_v2").removesuffix("_v3")
        known = {
            "nvmlInitWithFlags": lambda _flags: 0,
            "nvmlShutdown": lambda: 0,
            "nvmlDeviceGetCount": lambda out: self._set(out, len(self._devices)),
            "nvmlDeviceGetHandleByIndex": self._handle,
            "nvmlDeviceGetHandleByUUID": self._by_uuid,
            "nvmlDeviceGetMinorNumber": lambda one, out: self._set(out, self._index(one)),
            "nvmlDeviceGetName": lambda one, out, _size: self._text(one, "name", out),
            "nvmlDeviceGetUUID": lambda one, out, _size: self._text(one, "uuid", out),
            "nvmlDeviceGetMemoryInfo": self._memory,
            "nvmlDeviceGetUtilizationRates": self._busy,
            "nvmlDeviceGetMigMode": self._mig,
            "nvmlDeviceGetMaxMigDeviceCount": lambda _one, out: self._set(out, 7),
            "nvmlDeviceGetMigDeviceHandleByIndex": self._part,
        }
        if plain not in known:
            raise AttributeError(name)
        return known[plain]

    def _index(self, handle: Any) -> int:
        return ctypes.cast(handle, ctypes.c_void_p).value - 1  # type: ignore[operator]

    def _set(self, out: Any, value: int) -> int:
        out._obj.value = value
        return 0

    def _point(self, out: Any, index: int) -> int:
        pointer = ctypes.cast(ctypes.c_void_p(index + 1), type(out._obj))
        ctypes.memmove(
            ctypes.addressof(out._obj), ctypes.addressof(pointer), ctypes.sizeof(pointer)
        )
        return 0

    def _handle(self, index: Any, out: Any) -> int:
        return self._point(out, index.value)

    def _by_uuid(self, uuid: Any, out: Any) -> int:
        known = [handle["uuid"] for handle in self._handles]
        return self._point(out, known.index(getattr(uuid, "value", uuid)))

    def _text(self, handle: Any, field: str, out: Any) -> int:
        out.value = self._handles[self._index(handle)][field]
        return 0

    def _memory(self, handle: Any, out: Any) -> int:
        device = self._handles[self._index(handle)]
        out._obj.total, out._obj.used = device["memory"], device.get("used", 0)
        return 0

    def _busy(self, handle: Any, out: Any) -> int:
        busy = self._handles[self._index(handle)].get("busy")
        if busy is None:
            return NOT_SUPPORTED
        out._obj.gpu = busy
        return 0

    def _mig(self, handle: Any, now: Any, _later: Any) -> int:
        parts = self._handles[self._index(handle)].get("parts")
        return NOT_SUPPORTED if parts is None else self._set(now, 1)

    def _part(self, handle: Any, index: Any, out: Any) -> int:
        parts = self._handles[self._index(handle)]["parts"]
        if index.value >= len(parts):
            return NOT_FOUND
        return self._point(out, self._handles.index(parts[index.value]))


def _environment(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # The binding loads the library of the machine; this one is put in its place.
    monkeypatch.setattr(pynvml, "nvmlLib", Library(H100, A100))
    pynvml._nvmlGetFunctionPointer_cache.clear()
    yield
    pynvml._nvmlGetFunctionPointer_cache.clear()


@pytest.mark.usefixtures("driver")
def test_gpus_and_the_parts_of_divided_ones_are_found() -> None:
    found = [device.gpu for device in gpus.look(None)]

    assert [(gpu.uuid, gpu.gpu_class, gpu.mig, gpu.memory_bytes // GIB) for gpu in found] == [
        ("GPU-aaaa", "h100-80gb", None, 80),
        ("MIG-cccc", "a100-40gb-mig-1g.5gb", "1g.5gb", 5),
        ("MIG-dddd", "a100-40gb-mig-2g.10gb", "2g.10gb", 10),
    ]


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has the driver")
def test_a_machine_without_the_driver_has_none() -> None:
    assert gpus.look(None) == ()


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has the driver")
def test_where_nvml_finds_none_a_number_in_the_settings_counts() -> None:
    found = gpus.look(2)

    assert [device.gpu.uuid for device in found] == ["0", "1"]


@pytest.mark.usefixtures("driver")
def test_a_gpu_has_one_owner_until_it_is_released() -> None:
    here = Gpus(gpus.look(None))

    first = here.assign("rep_1", 1)
    again = here.assign("rep_1", 1)
    part = here.assign("rep_2", 1, gpu_class="mig-2g.10gb")
    with pytest.raises(NoGpu, match="it needs 2 GPUs: 1 of 3 on this machine are free"):
        here.assign("rep_3", 2)
    here.release("rep_1")
    both = here.assign("rep_3", 2)

    assert (first, again, part) == (("GPU-aaaa",), ("GPU-aaaa",), ("MIG-dddd",))
    assert both == ("GPU-aaaa", "MIG-cccc")


def test_the_emptiest_of_the_free_gpus_is_given_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that the platform did not start may have some of their memory."""
    busy = {**H100, "used": 70 * GIB}
    other = {**H100, "uuid": b"GPU-eeee", "used": GIB, "busy": 42}
    monkeypatch.setattr(pynvml, "nvmlLib", Library(busy, other))
    pynvml._nvmlGetFunctionPointer_cache.clear()
    here = Gpus(gpus.look(None))

    before = here.use()
    given = here.assign("rep_1", 1)
    after = here.use()
    pynvml._nvmlGetFunctionPointer_cache.clear()

    assert before["GPU-aaaa"] == GpuUse(70 * GIB)
    assert given == ("GPU-eeee",)
    assert after["GPU-eeee"] == GpuUse(GIB, replica="rep_1", utilisation_percent=42)


@pytest.mark.parametrize(
    ("name", "memory", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", 80, "h100-80gb"),
        ("Tesla T4", 15, "t4-15gb"),
        ("NVIDIA GeForce RTX 4090", 24, "rtx4090-24gb"),
        ("NVIDIA L40S", 45, "l40s-45gb"),
        ("NVIDIA H200", 141, "h200-141gb"),
    ],
)
def test_a_class_is_model_and_memory(name: str, memory: int, expected: str) -> None:
    assert gpus.class_of(name, memory * GIB) == expected


@pytest.mark.usefixtures("driver")
async def test_a_server_sees_its_own_gpus_alone_and_keeps_them_over_a_restart(
    tmp_path: Path,
) -> None:
    backoff = Backoff(0.02, 2.0, 0.1, 60.0)
    machine = Machine(tmp_path / "data", Limits(backoff=backoff, isolation=Mode.OFF))
    await machine.replicas.start()
    await machine.replicas.place(replace(spec(), gpus=1))
    first = await machine.until(lambda o: o.state is State.READY)
    environment = _environment(first.pid or 0)
    await machine.replicas.place(replace(spec("rep_2"), gpus=3))
    short = await machine.until(lambda o: o.reason is not None, "rep_2")

    await machine.restart()
    adopted = machine.replicas.observe("rep_1")
    await machine.replicas.remove("rep_2")
    await machine.replicas.place(replace(spec("rep_3"), gpus=2))
    third = await machine.until(lambda o: o.state is State.READY, "rep_3")
    await machine.replicas.remove("rep_3")
    part = replace(spec("rep_4"), gpus=1, gpu_class="a100-40gb-mig-2g.10gb")
    await machine.replicas.place(part)
    fourth = await machine.until(lambda o: o.state is State.READY, "rep_4")
    divided = _environment(fourth.pid or 0)
    await machine.replicas.stop_all()

    assert b"CUDA_VISIBLE_DEVICES=GPU-aaaa" in environment
    assert first.gpus == ("GPU-aaaa",)
    assert short.reason == "NoGpuFree"
    assert adopted is not None
    assert adopted.gpus == ("GPU-aaaa",)
    assert set(third.gpus) == {"MIG-cccc", "MIG-dddd"}
    assert b"CUDA_VISIBLE_DEVICES=MIG-dddd" in divided
