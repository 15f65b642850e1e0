"""
The system calls that no model server needs, and the filter that refuses them.

Everything else is allowed: engines differ too much for a list of what they may do. Refused is what
reaches beyond namespaces (sockets of a virtual machine's host, new namespaces, mounts), looks into
other processes, or has opened kernels before. Container engines refuse the same by default.
"""

import errno
import os
import socket
import struct
import sys

# Name → number on x86_64 and on aarch64; none where it does not exist.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "ioperm": (173, None),
    "iopl": (172, None),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
_CLONE, _CLONE3, _SOCKET = (56, 220), (435, 435), (41, 198)
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS, -CGROUP, -UTS, -IPC, -USER, -PID, -NET
_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, 16)  # 16: AF_NETLINK
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000  # numbers of the x32 calls, which would pass by the list

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16  # offsets in `struct seccomp_data`
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000


def program() -> bytes | None:
    """Return the filter as the kernel takes it; none on machines that it is not written for."""
    machine = os.uname().machine if sys.platform == "linux" else ""
    if machine not in _AUDIT:
        return None
    column = 0 if machine == "x86_64" else 1
    code = [
        _jump(_LOAD, _ARCH),
        _jump(_EQUAL, _AUDIT[machine], 1, 0),
        _jump(_RETURN, _KILL),
        _jump(_LOAD, _NUMBER),
        _jump(_AT_LEAST, _X32, 0, 1),
        _jump(_RETURN, _ERROR | errno.ENOSYS),
    ]
    for numbers in _REFUSED.values():
        number = numbers[column]
        if number is not None:
            code += [_jump(_EQUAL, number, 0, 1), _jump(_RETURN, _ERROR | errno.EPERM)]
    # Its flags lie in memory, where a filter cannot look: libraries fall back to `clone`.
    code += [_jump(_EQUAL, _CLONE3[column], 0, 1), _jump(_RETURN, _ERROR | errno.ENOSYS)]
    code += [
        _jump(_EQUAL, _CLONE[column], 0, 4),
        _jump(_LOAD, _FIRST_ARGUMENT),
        _jump(_ANY_BIT, _NEW_NAMESPACES, 0, 1),
        _jump(_RETURN, _ERROR | errno.EPERM),
        _jump(_RETURN, _ALLOW),
    ]
    families = len(_FAMILIES)
    code += [_jump(_EQUAL, _SOCKET[column], 0, families + 2), _jump(_LOAD, _FIRST_ARGUMENT)]
    code += [_jump(_EQUAL, family, families - index, 0) for index, family in enumerate(_FAMILIES)]
    code += [_jump(_RETURN, _ERROR | errno.EAFNOSUPPORT), _jump(_RETURN, _ALLOW)]
    return b"".join(code)


def _jump(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("HBBI", code, then, otherwise, value)
