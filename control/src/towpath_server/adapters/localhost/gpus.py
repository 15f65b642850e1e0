"""
GPUs of this machine, as NVIDIA's management library (NVML) tells of them, and who has which.

A machine without the driver has none. Where the settings name a number and NVML finds none, GPUs
are known by their index alone, as `CUDA_VISIBLE_DEVICES` takes it too.
"""

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pynvml

from towpath_server.adapters.compute import Gpu, GpuUse
from towpath_server.core import log as logging

log = logging.get(__name__)

_MAKER = {"nvidia", "tesla", "geforce", "quadro"}
_MIG = re.compile(r"MIG (\S+)")
_CONTROL = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset")
VISIBLE = "CUDA_VISIBLE_DEVICES"
_UNUSED = GpuUse(0)


class NoGpu(Exception):
    """Fewer GPUs are free than are asked for; the text says how many."""


@dataclass(frozen=True)
class Device:
    """A GPU, and the file by which programs reach it."""

    gpu: Gpu
    path: str | None


@dataclass
class Gpus:
    """The GPUs of this machine and their assignment; one replica at a time has a GPU."""

    devices: tuple[Device, ...] = ()
    _owners: dict[str, str] = field(default_factory=dict)
    _used: Mapping[str, GpuUse] = field(default_factory=dict)
    """As it was at the last look, without owners."""

    def assign(self, replica: str, count: int, *, gpu_class: str | None = None) -> tuple[str, ...]:
        """
        Give a replica GPUs of its own, the emptiest first; those that it has stay its own.

        Raises:
            NoGpu: Too few of them are free.
        """
        fitting = [d.gpu for d in self.devices if gpu_class is None or d.gpu.called(gpu_class)]
        mine = [gpu for gpu in fitting if self._owners.get(gpu.uuid) == replica]
        free = [gpu for gpu in fitting if gpu.uuid not in self._owners]
        free.sort(key=lambda gpu: self._used.get(gpu.uuid, _UNUSED).memory_bytes)
        chosen = (mine + free)[:count]
        if len(chosen) < count:
            what = f" of class `{gpu_class}`" if gpu_class else ""
            raise NoGpu(
                f"it needs {count} GPUs{what}: {len(free)} of {len(fitting)} on this machine are "
                "free"
            )
        self.release(replica)
        self.hold(replica, [gpu.uuid for gpu in chosen])
        return tuple(gpu.uuid for gpu in chosen)

    def hold(self, replica: str, uuids: Collection[str]) -> None:
        """Note what a replica that already runs has."""
        self._owners |= dict.fromkeys(uuids, replica)

    def release(self, replica: str) -> None:
        """Take a replica's GPUs back."""
        self._owners = {uuid: one for uuid, one in self._owners.items() if one != replica}

    def use(self) -> Mapping[str, GpuUse]:
        """Look at what each GPU is used for; it may take a moment, and is safe in a thread."""
        self._used = _used([device.gpu.uuid for device in self.devices])
        owners = self._owners
        return {
            uuid: replace(self._used.get(uuid, _UNUSED), replica=owners.get(uuid))
            for uuid in (device.gpu.uuid for device in self.devices)
        }

    def files(self, uuids: Collection[str]) -> list[str]:
        """Return the device files that a program needs for these GPUs."""
        if not uuids:
            return []
        own = [d.path for d in self.devices if d.gpu.uuid in uuids and d.path]
        parts = [str(path) for path in Path("/dev/nvidia-caps").glob("*")]
        return [*dict.fromkeys(own), *_CONTROL, *parts]


def environment(uuids: Collection[str]) -> Mapping[str, str]:
    """Return the variable that shows a program these GPUs, and no other."""
    return {VISIBLE: ",".join(uuids)}


def look(named: int | None) -> tuple[Device, ...]:
    """
    Find the GPUs of this machine.

    Args:
        named: How many the settings allow; none: all that NVML finds.
    """
    found = tuple(_nvml())
    if named is None:
        return found
    if found:
        return found[:named]
    return tuple(_nameless(index) for index in range(named))


def _nameless(index: int) -> Device:
    return Device(Gpu(str(index), "GPU", 0, "gpu"), f"/dev/nvidia{index}")


@contextlib.contextmanager
def _asked() -> Iterator[bool]:
    """Have the library ready; tell whether there is a driver that may be asked."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield False
        return
    try:
        yield True
    except pynvml.NVMLError as error:
        log.warning("gpu.unreadable", error=str(error))
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _nvml() -> list[Device]:
    found: list[Device] = []
    with _asked() as there:
        for index in range(pynvml.nvmlDeviceGetCount() if there else 0):
            found += _device(pynvml.nvmlDeviceGetHandleByIndex(index))
    return found


def _used(uuids: Collection[str]) -> dict[str, GpuUse]:
    found: dict[str, GpuUse] = {}
    if not uuids:
        return found
    with _asked() as there:
        for uuid in uuids if there else ():
            handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
            used = int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)
            found[uuid] = GpuUse(used, utilisation_percent=_utilisation(handle))
    return found


def _utilisation(handle: Any) -> int | None:
    try:
        return int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except pynvml.NVMLError:  # parts of a divided GPU, and old ones, have no such figure
        return None


def _device(handle: Any) -> Iterator[Device]:
    path = f"/dev/nvidia{pynvml.nvmlDeviceGetMinorNumber(handle)}"
    whole = _gpu(handle)
    parts = list(_parts(handle, whole))
    if parts:  # a divided GPU cannot be used as a whole
        yield from (Device(part, path) for part in parts)
    else:
        yield Device(whole, path)


def _parts(handle: Any, whole: Gpu) -> Iterator[Gpu]:
    try:
        if pynvml.nvmlDeviceGetMigMode(handle)[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
            return
        most = pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except pynvml.NVMLError:  # it cannot be divided
        return
    for index in range(most):
        try:
            part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
        except pynvml.NVMLError:  # there is none of this number
            continue
        gpu = _gpu(part)
        named = _MIG.search(gpu.name)
        # As NVIDIA's device plugin writes it: `+` is allowed in no name of a resource.
        profile = named.group(1).replace("+", ".") if named else f"{gpu.memory_bytes >> 30}gb"
        yield Gpu(gpu.uuid, gpu.name, gpu.memory_bytes, f"{whole.gpu_class}-mig-{profile}", profile)


def _gpu(handle: Any) -> Gpu:
    name = _text(pynvml.nvmlDeviceGetName(handle))
    memory = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    return Gpu(_text(pynvml.nvmlDeviceGetUUID(handle)), name, memory, class_of(name, memory))


def class_of(name: str, memory_bytes: int) -> str:
    """Return the class of a GPU: model and memory, such as `h100-80gb`."""
    words = [word for word in re.split(r"[\s/_-]+", name) if word.lower() not in _MAKER]
    numbered = [word for word in words if re.search(r"\d", word)]
    model = next((w for w in numbered if not re.fullmatch(r"\d+GB", w, re.IGNORECASE)), "gpu")
    if model.isdecimal() and words[0] != model:  # such as `RTX 4090`
        model = words[words.index(model) - 1] + model
    stated = re.search(r"(\d+)\s?GB", name, re.IGNORECASE)
    gigabytes = int(stated.group(1)) if stated else round(memory_bytes / 2**30)
    return f"{model.lower()}-{gigabytes}gb"


def _text(value: str | bytes) -> str:
    return value.decode("ascii", errors="replace") if isinstance(value, bytes) else value
