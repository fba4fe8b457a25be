"""The data folder: where it is, what is in it, who may use it.

Called by `plane.up` (opens and locks it) and by every verb of `cli` (finds the kubeconfig and the ports). Never starts
anything. Layout: docs/architecture.md, "The data folder".
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from styr.kit.files import write_atomic
from styr.kit.process import ProcessId
from styr.version import __version__

FORMAT = 1
"""Of the folder as a whole. Raised when an older Styr could no longer read it; a newer one than ours is refused."""


class FolderError(Exception):
    """The data folder cannot be used.

    FolderError
    ├── FolderInUse      another `styr up` holds it
    ├── FolderTooNew     written by a newer Styr
    └── NotRunning       no Styr has been started on it
    """


class FolderInUse(FolderError):
    pass


class FolderTooNew(FolderError):
    pass


class NotRunning(FolderError):
    pass


@dataclass(frozen=True, slots=True)
class State:
    """What outlives a run: the ports (so that remotes and kubeconfigs stay true) and who runs. `start` is the
    control plane's start time (`kit.process`): a pid alone may have been given to somebody else."""

    api_port: int = 0
    gateway_port: int = 0
    metrics_port: int = 0
    pid: int = 0
    start: int = 0


def default_path() -> Path:
    """`$STYR_DATA_DIR`, else `$XDG_DATA_HOME/styr`, else `~/.local/share/styr`."""
    if chosen := os.environ.get("STYR_DATA_DIR"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "styr"


class Folder:
    """One data folder. Reading needs no lock; `open()` makes, checks and locks it for a control plane."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self._lock: int | None = None

    @property
    def kubeconfig(self) -> Path:
        return self.path / "kubeconfig"

    @property
    def token(self) -> Path:
        return self.path / "token"

    @property
    def authentication(self) -> Path:
        """Whose tokens are believed (AuthenticationConfiguration), if there is such a file."""
        return self.path / "authentication.yaml"

    @property
    def encryption(self) -> Path:
        """The keys that Secrets are encrypted with (EncryptionConfiguration); made with the first one."""
        return self.path / "encryption.yaml"

    @property
    def audit_policy(self) -> Path:
        """What is written down of requests (Policy of audit.k8s.io), if there is such a file."""
        return self.path / "audit-policy.yaml"

    @property
    def audit_log(self) -> Path:
        return self.path / "log" / "audit.log"

    @property
    def log(self) -> Path:
        return self.path / "log" / "styr.log"

    @property
    def restoring(self) -> Path:
        """Where `styr restore` unpacks, on the same disk; gone when it has succeeded or failed, there when it was killed."""
        return self.path.with_name(f".{self.path.name}.restoring")

    @property
    def ca(self) -> Path:
        return self.path / "pki" / "ca.crt"

    def open(self) -> Self:
        """Raises `FolderError` with the way out in its text; OSError when the folder cannot be written."""
        if not self.path.exists() and self.restoring.exists():
            raise FolderError(
                f"{self.path} is not there and {self.restoring} is: `styr restore` was interrupted. Restore again; or, to "
                f"start anew, remove the latter. What was there before is beside it, if anything was: "
                f"{self.path.name}.before-restore-TIME."
            )
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.check_version()
        self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = None
            pid = self.state().pid
            raise FolderInUse(
                f"{self.path} is in use by another styr (pid {pid}). See it with `styr status`, stop it with "
                "`styr down`, or give this one its own folder: `--data-dir DIR`."
            ) from None
        write_atomic(self.path / "VERSION", json.dumps({"format": FORMAT, "styr": __version__}))
        return self

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def state(self) -> State:
        """What was last written; the empty state when nothing (or nothing readable) is there."""
        try:
            found = json.loads((self.path / "state.json").read_text())
            return State(**{key: int(found.get(key, 0)) for key in asdict(State())})
        except (OSError, ValueError, AttributeError, TypeError):
            return State()

    def write_state(self, **changes: Any) -> State:
        state = replace(self.state(), **changes)
        write_atomic(self.path / "state.json", json.dumps(asdict(state)))
        return state

    def control_plane(self) -> ProcessId | None:
        """The control plane's process, if it is alive and still the same."""
        state = self.state()
        found = ProcessId(state.pid, state.start)
        return found if found.alive() else None

    def running_pid(self) -> int | None:
        found = self.control_plane()
        return found.pid if found else None

    def require_kubeconfig(self) -> Path:
        if not self.kubeconfig.exists():
            raise NotRunning(
                f"no Styr has been started on {self.path}. Start one with `styr up`, or name its folder: `--data-dir DIR`."
            )
        return self.kubeconfig

    def check_version(self) -> None:
        """Raises `FolderError` for a folder that this Styr cannot read."""
        file = self.path / "VERSION"
        try:
            found = json.loads(file.read_text())
            number, writer = int(found["format"]), str(found.get("styr", "?"))
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError) as error:
            raise FolderError(
                f'{file} is damaged ({error}). If {self.path} is a Styr data folder, write {{"format": {FORMAT}}} into it.'
            ) from None
        if number > FORMAT:
            raise FolderTooNew(
                f"{self.path} was written by a newer Styr ({writer}, format {number}); this is {__version__}, which reads "
                f"up to format {FORMAT}. Upgrade with `pip install -U styr`, or use another folder: `--data-dir DIR`."
            )


def ready_text(folder: Folder, state: State) -> str:
    """What people read when a start has succeeded."""
    return (
        f"Styr is up.  Apps: http://APP.localhost:{state.gateway_port}   API: https://127.0.0.1:{state.api_port}\n"
        f"Data folder: {folder.path}   kubectl --kubeconfig {folder.kubeconfig} get pods\n"
        "Deploy: cd my-app && styr link && git push styr main"
    )
