"""The command `towpath upgrade`."""

import argparse
import json
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from towpath_server.core import config
from towpath_server.core.config import SettingsInvalid
from towpath_server.core.folder import DataFolder
from towpath_server.supervisor.errors import CannotStart
from towpath_server.supervisor.progress import Progress
from towpath_server.supervisor.succession.report import FORMATS, Report

DONE, FAILED = 0, 1
# Longer than every bound of the supervisor's own together.
_PATIENCE_S = 600.0
_NAME, _WORD = 15, 28


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    arguments = argparse.ArgumentParser(
        prog="towpath upgrade",
        description="Replace what `towpath up` runs by this build, while it goes on serving.",
    )
    arguments.add_argument(
        "--check", action="store_true", help="say what would happen, and change nothing"
    )
    arguments.add_argument("--json", action="store_true", help="write the report as JSON")
    arguments.add_argument("--data", type=Path, help="folder that `towpath up` runs on")
    arguments.add_argument("--config", type=Path, help="settings file that it was started with")
    return arguments


def upgrade(argv: Sequence[str] | None = None) -> int:
    """Ask the running supervisor; return the exit status."""
    options = parser().parse_args(argv)
    try:
        return _upgrade(options)
    except CannotStart as error:
        sys.stderr.write(f"{error.message()}\n")
    except SettingsInvalid as error:
        sys.stderr.write(f"error: {error.detail}\n\nfix: {error.fix}\n")
    return FAILED


def _upgrade(options: argparse.Namespace) -> int:
    file = config.settings_file(options.config)
    folder = DataFolder.at(config.load(file, data=options.data).data)
    steps = _Steps()
    for said in _ask(folder, do="check" if options.check else "upgrade"):
        match said["event"]:
            case "report":
                if options.json or options.check:
                    _show(said["report"], as_json=options.json)
                if not said["report"]["possible"]:
                    raise _refusal(said["report"]["problems"])
            case "step":
                steps.begin(said["name"])
            case "done":
                steps.end()
                return DONE
            case "failed":
                raise CannotStart(said["what"], fix=said["fix"] or None)
    if options.check:
        return DONE
    raise CannotStart(
        "`towpath up` ended the conversation before the upgrade was done",
        fix=f"look at `{folder.logs}`; start `towpath up` where it runs no more",
    )


class _Steps:
    """What is done, a line each."""

    def __init__(self) -> None:
        self._progress = Progress()
        self._begun = False

    def begin(self, name: str) -> None:
        if self._begun:
            self._progress.done()
        self._progress.begin(name)
        self._begun = True

    def end(self) -> None:
        self._progress.done()
        self._progress.say("upgraded; models go on as they were")


def _ask(folder: DataFolder, *, do: str) -> Iterator[dict[str, Any]]:
    """
    Ask, and give what is answered as it comes.

    Raises:
        CannotStart: Nobody answers.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE_S)
        try:
            connection.connect(str(folder.up_socket))
        except OSError as error:
            raise CannotStart(
                f"no `towpath up` runs on `{folder.root}`",
                fix="start it: `towpath up`; or name the folder it runs on: "
                "`towpath upgrade --data DIR`",
            ) from error
        asked = {"do": do, "python": sys.executable}
        connection.sendall(json.dumps(asked).encode() + b"\n")
        try:
            with connection.makefile("r", encoding="utf-8") as answers:
                for line in answers:
                    yield json.loads(line)
        except (OSError, ValueError):
            return


def _refusal(problems: Sequence[dict[str, str]]) -> CannotStart:
    what = "; ".join(problem["what"] for problem in problems)
    return CannotStart(what, fix="; ".join(problem["fix"] for problem in problems))


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return
    lines = [f"{'':<{_NAME}}{'running':<{_WORD}}this build"]
    for name, shown in (("control", "control plane"), ("gateway", "gateway")):
        now, new = report["running"][name], report["new"][name]
        lines.append(f"{shown:<{_NAME}}{_build(now):<{_WORD}}{_build(new)}")
    lines.append("")
    lines += [f"{name:<{_NAME}}{text}" for name, text in _facts(report)]
    sys.stdout.write("\n".join(lines) + "\n")


def _build(told: dict[str, Any]) -> str:
    return f"{told.get('version') or '?'} ({told.get('build') or '?'})"


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    """Write what a person must know, line by line."""
    migrations = [f"{one['database']}: {one['revision']}" for one in report["migrations"]]
    if migrations:
        yield "migrations", ", ".join(migrations)
        yield "way back", "none without a backup: the former build does not read the new tables"
    else:
        yield "migrations", "none"
        yield "way back", "the former build, installed again: `towpath upgrade` of that one"
    pairs = [(FORMATS[name], found) for name, found in report["formats"].items()]
    same = all(found["running"] == found["new"] for _, found in pairs)
    listed = ", ".join(f"{name} {found['new']}" for name, found in pairs)
    yield "formats", f"{listed}: {'as they are' if same else 'not all as they are'}"
    models = report["models"]
    if models["known"]:
        yield "models", ", ".join([*models["kept"]]) + " keep running" if models["kept"] else "none"
    else:
        yield "models", "keep running, unless the runtime of one starts its server in another way"
    for one in models["restarted"]:
        yield "", f"{one['name']} is restarted: {one['why']}"
    waits = report["api_waits_s"]
    usually = f"some {waits['usually']:.1f} s, " if waits["usually"] is not None else ""
    yield "API", f"waits {usually}{waits['most']} s at most; calls to models do not wait"
    yield "backup", "due before: copy " + ", ".join(f"`{path}`" for path in report["backup"])
