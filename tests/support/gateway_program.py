"""Where the gateway's program is: as told, installed, or as `cargo build` left it."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def find() -> Path:
    """Return the program; a test that needs it cannot do without."""
    told = os.environ.get("TOWPATH_GATEWAY_BIN")  # noqa: TID251 (tests are told where things are)
    places = [
        *([Path(told)] if told else []),
        Path(sys.prefix) / "bin" / "towpath-gateway",
        ROOT / "target" / "ci" / "towpath-gateway",
        ROOT / "target" / "debug" / "towpath-gateway",
    ]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError("no towpath-gateway: `make setup` builds it")
