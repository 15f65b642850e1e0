"""
Reads pickles without loading them: which names a pickle would import, and whether it calls them.

Nothing is ever unpickled. Any pickle is code; names that start programs, open files or connections
or evaluate text refuse the file outright, whatever runtime it is for.
"""

import io
import pickletools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from towpath_server.adapters.modelfiles import reasons
from towpath_server.adapters.modelfiles.report import Notes, listed

MAX_BYTES = 1 << 26  # of one pickle that are read; weights stand outside, or behind
_MAX_OPERATIONS = 2_000_000
_MAX_PICKLES = 64  # of a file that is several, as torch's old format is
_MEMO = 100_000  # strings remembered for `STACK_GLOBAL`

_CALLS = {"REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"}
_NAMES = {"GLOBAL", "INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"}

# Modules of which no name belongs into a model: they start programs, reach the network or the
# file system, or evaluate text.
_DANGEROUS_MODULES = frozenset(
    [
        "os",
        "posix",
        "nt",
        "posixpath",
        "ntpath",
        "subprocess",
        "_posixsubprocess",
        "sys",
        "shutil",
        "socket",
        "ssl",
        "http",
        "urllib",
        "urllib2",
        "urllib3",
        "requests",
        "httpx",
        "aiohttp",
        "ftplib",
        "smtplib",
        "telnetlib",
        "socketserver",
        "asyncio",
        "multiprocessing",
        "ctypes",
        "cffi",
        "pty",
        "pdb",
        "bdb",
        "code",
        "codeop",
        "runpy",
        "importlib",
        "imp",
        "pkgutil",
        "zipimport",
        "marshal",
        "webbrowser",
        "tempfile",
        "fileinput",
        "timeit",
        "cProfile",
        "idlelib",
        "ensurepip",
        "pip",
        "venv",
        "sqlite3",
        "dbm",
        "shelve",
        "_pickle",
        "pickle",
        "atexit",
        "distutils",
        "lib2to3",
        "doctest",
        "xmlrpc",
        "winreg",
        "msvcrt",
        "linecache",
    ]
)
_DANGEROUS_NAMES = frozenset(
    {
        ("builtins", name)
        for name in [
            "eval",
            "exec",
            "compile",
            "open",
            "__import__",
            "getattr",
            "setattr",
            "delattr",
            "globals",
            "locals",
            "vars",
            "input",
            "breakpoint",
            "memoryview",
            "help",
            "exit",
            "quit",
            "apply",
            "execfile",
        ]
    }
    | {
        ("operator", "attrgetter"),
        ("operator", "methodcaller"),
        ("_operator", "attrgetter"),
        ("_operator", "methodcaller"),
        ("codecs", "open"),
        ("io", "open"),
        ("io", "open_code"),
        ("io", "FileIO"),
        ("_io", "FileIO"),
        ("numpy", "load"),
        ("numpy", "save"),
        ("numpy", "fromfile"),
        ("numpy.lib.npyio", "load"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("torch.serialization", "load"),
        ("joblib", "load"),
        ("joblib.numpy_pickle", "load"),
        ("pandas", "read_pickle"),
        ("pandas.io.pickle", "read_pickle"),
        ("torch.storage", "_load_from_bytes"),
        ("torch.utils.cpp_extension", "load"),
        ("torch._inductor.codecache", "compile_file"),
    }
)
_INNER = re.compile(r"__(?!main__)\w*__")
# Names as they stand in a pickle's bytes, for what follows raw arrays and is not read in order.
_TEXT = re.compile(rb"c([\w.]{2,60})\n([\w.]{1,60})\n")
_BINARY = re.compile(rb"\x8c.([\w.]{2,60})\x94?\x8c.([\w.]{1,60})\x94?\x93", re.DOTALL)


@dataclass
class Pickled:
    """What reading one or more pickles has shown."""

    operations: int = 0
    complete: bool = False
    calls: bool = False
    names: list[tuple[str, str]] = field(default_factory=list)
    end: int = 0
    juggled: set[str] = field(default_factory=set)
    """Names of dangerous modules in a pickle that moves its stack as no writer does."""


def is_dangerous(module: str, name: str) -> bool:
    """Tell whether importing this name, to call it, hands the machine over."""
    module = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)
    first = name.split(".", maxsplit=1)[0]
    return (
        module.split(".")[0] in _DANGEROUS_MODULES
        or (module, first) in _DANGEROUS_NAMES
        or any(_INNER.fullmatch(part) for part in f"{module}.{name}".split("."))
    )


def looks_like(data: bytes) -> bool:
    """Tell whether bytes begin a pickle: by its header or, in the old text form, by reading it."""
    if len(data) > 2 and data[0] == 0x80 and data[1] in range(2, 6):
        return read(data).operations > 2
    if not data or data[0] in b" \t\r\n{[<#":
        return False
    found = read(data)
    return found.complete and found.calls and bool(found.names)


def read(data: bytes, at: int = 0) -> Pickled:
    """Read one pickle from `at`, as far as it can be read."""
    found = Pickled(end=at)
    strings: list[str] = []
    memo: dict[int, str] = {}
    for name, argument, position in _operations(data, at):
        if name == "":
            break
        found.operations += 1
        found.calls = found.calls or name in _CALLS
        if name == "STOP":
            found.complete, found.end = True, position + 1
            break
        _follow(found, name, argument, strings, memo)
    return found


def _operations(data: bytes, at: int) -> Iterator[tuple[str, object, int]]:
    stream = io.BytesIO(data)
    stream.seek(at)
    try:
        for count, (opcode, argument, position) in enumerate(pickletools.genops(stream)):
            if count > _MAX_OPERATIONS:
                return
            yield opcode.name, argument, position or 0
    except (ValueError, OverflowError, IndexError, KeyError, TypeError, UnicodeError):
        yield "", None, at


def _follow(
    found: Pickled, name: str, argument: object, strings: list[str], memo: dict[int, str]
) -> None:
    """Keep the strings that a name may be made of, and the names."""
    if name in {"GLOBAL", "INST"} and isinstance(argument, str):
        module, _, attribute = argument.partition(" ")
        found.names.append((module, attribute))
    elif name == "STACK_GLOBAL":
        module, attribute = strings[-2:] if len(strings) > 1 else ("__unknown__", "__unknown__")
        found.names.append((module, attribute))
    elif name in _NAMES:
        found.names.append(("__extension__", str(argument)))
    elif isinstance(argument, str):
        strings.append(argument)
        del strings[:-_MEMO]
    elif name in {"POP", "POP_MARK", "DUP"}:
        found.juggled.update(text for text in strings if text in _DANGEROUS_MODULES)
    elif name == "MEMOIZE" or (name in {"PUT", "BINPUT", "LONG_BINPUT"}):
        index = argument if isinstance(argument, int) else len(memo)
        if len(memo) < _MEMO:
            memo[index] = strings[-1] if strings else ""
    elif name in {"GET", "BINGET", "LONG_BINGET"} and isinstance(argument, int):
        strings.append(memo.get(argument, ""))


def _hidden(data: bytes) -> list[str]:
    """Find dangerous names in what cannot be read in order."""
    found = []
    for pattern in (_TEXT, _BINARY):
        for match in pattern.finditer(data):
            module, name = match[1].decode("ascii", "replace"), match[2].decode("ascii", "replace")
            if is_dangerous(module, name):
                found.append(f"{module}.{name}")
    return found[:_MAX_PICKLES]


def check(data: bytes, notes: Notes, *, whole: bool = True) -> None:
    """
    Note what a file of one or more pickles would do.

    Args:
        whole: Whether `data` is all of it; if not, the end of it is nobody's mistake.
    """
    names: list[tuple[str, str]] = []
    juggled: set[str] = set()
    at = 0
    for _ in range(_MAX_PICKLES):
        last = read(data, at)
        names += last.names
        juggled |= last.juggled
        if not last.complete or last.end >= len(data):
            break
        at = last.end
    dangerous = [f"{m}.{n}" for m, n in names if is_dangerous(m, n)] or sorted(juggled)
    dangerous = dangerous or _hidden(data)
    if dangerous:
        notes.add(reasons.DANGEROUS_PICKLE, f"A pickle calls {listed(dangerous)}.")
        return
    modules = sorted({module.split(".")[0] for module, _ in names})
    makes = f" that makes objects of {listed(modules)}" if modules else ""
    cut = "" if whole else " (its beginning was read)"
    notes.add(reasons.PICKLE, f"It is a pickle{makes}{cut}.")
