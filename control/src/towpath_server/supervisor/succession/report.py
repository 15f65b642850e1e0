"""What an upgrade will do, from what runs and from what the other build says of itself."""

import itertools
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# The documents that the planes exchange, and what is on the gateway's disk.
FORMATS = {"table": "routing table", "journal": "usage journal", "records": "usage records"}
# The drain of the control plane's API, and the time in which a start is given up.
API_WAITS_MOST_S = 60
_ASKED_S = 60.0

Report = dict[str, Any]


class Refused(Exception):
    """The other build cannot be asked, or says that it cannot run."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


def ask(python: str, command: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """
    Let another build say what it is and what its start would do.

    Args:
        python: The Python that it is installed for.
        command: That of the control plane that runs, whose folder and settings it gets.

    Raises:
        Refused: It cannot be started, or says why it cannot run here.
    """
    given = [*_given(command)]
    try:
        asked = subprocess.run(  # noqa: S603 (it will be started by whoever asks to)
            [python, "-P", "-m", "towpath_server", "describe", *given],
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=_ASKED_S,
            check=False,
        )
        if asked.returncode == 0:
            told = json.loads(asked.stdout)
            if isinstance(told, dict):
                return told
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise Refused(
            f"the new build cannot be asked: {error}",
            "install it again, and check that `towpath --version` of it answers",
        ) from error
    said = "\n".join(asked.stderr.strip().splitlines()[-8:]) or "it gave no reason"
    raise Refused(
        f"the new build cannot run here: {said.removeprefix('error: ')}",
        "mend what it says and ask again; what runs is as it was",
    )


def _given(command: Sequence[str]) -> list[str]:
    """Take the options that `describe` shares with `serve` from a command line."""
    pairs = itertools.pairwise(command)
    return [part for pair in pairs if pair[0] in {"--data", "--config"} for part in pair]


def write(
    now: Mapping[str, Any], then: Mapping[str, Any], *, data: Path, start_s: float | None
) -> Report:
    """
    Compare what runs with what would run.

    Args:
        now: `control` and `gateway` as they run.
        then: What the other build says of itself.
        start_s: How long the control plane took to start last; none where it is not known.
    """
    problems = []
    gateway = then.get("gateway")
    if gateway is None:
        problems.append(
            _problem(
                "the new build has no gateway that answers",
                "install `towpath-gateway` beside it, or say where it is: "
                "`TOWPATH_GATEWAY_BIN=FILE towpath up`",
            )
        )
    formats = {}
    for name, what in FORMATS.items():
        old, new = now["gateway"].get(name), (gateway or {}).get(name)
        formats[name] = {"running": old, "new": new}
        if gateway is not None and old is not None and old != new:
            problems.append(
                _problem(
                    f"the {what} of the new build has format {new}, and that of what runs {old}: "
                    "the two cannot run beside each other",
                    "stop `towpath up`, which ships its records, and start the new build",
                )
            )
    models = _models(now["control"].get("runtimes") or {}, then)
    return {
        "possible": not problems,
        "running": {"control": _named(now["control"]), "gateway": _named(now["gateway"])},
        "new": {"control": _named(then["control"]), "gateway": _named(gateway or {})},
        "migrations": then["migrations"],
        "can_go_back": not then["migrations"],
        "formats": formats,
        "models": models,
        "api_waits_s": {"usually": start_s, "most": API_WAITS_MOST_S},
        "backup": [str(data / name) for name in ("control", "artifacts", "secrets")],
        "problems": problems,
    }


def _problem(what: str, fix: str) -> dict[str, str]:
    return {"what": what, "fix": fix}


def _named(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: told.get(name) for name in ("version", "build")}


def _models(runtimes: Mapping[str, str], then: Mapping[str, Any]) -> dict[str, Any]:
    """Tell the models that keep running from those whose runtime starts them in another way now."""
    if then["models"] is None:
        return {"known": False, "kept": [], "restarted": []}
    kept, restarted = [], []
    for model in then["models"]:
        runtime = model["runtime"]
        new = then["control"]["runtimes"].get(runtime)
        if new == runtimes.get(runtime):
            kept.append(model["name"])
        else:
            why = "is not there" if new is None else "starts its servers in another way"
            restarted.append(
                {"name": model["name"], "why": f"the runtime `{runtime}` of the new build {why}"}
            )
    return {"known": True, "kept": kept, "restarted": restarted}
