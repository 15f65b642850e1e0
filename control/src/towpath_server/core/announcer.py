"""What the control plane tells the process that started it."""

import json
import os


class Announcer:
    """Tells the supervisor what it must know, over a pipe: keys shown once never touch a disk."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def say(self, event: str, **fields: object) -> None:
        """Write a line, if there is somebody to read it."""
        if self._descriptor is None:
            return
        line = json.dumps({"event": event, **fields}) + "\n"
        try:
            os.write(self._descriptor, line.encode())
        except OSError:
            self._descriptor = None  # the supervisor is gone; what follows is for nobody
