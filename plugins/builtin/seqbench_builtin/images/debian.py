"""Downloads a Debian or Ubuntu package with the system's tools, without root.

Nothing is installed and the system is not changed: the archive is downloaded into a folder and
unpacked there. Repositories, keys and proxies are those configured on the system.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from seqbench.errors import DataError

#: For each command; also covers a mirror that does not respond.
LIMIT_SECONDS = 120

ACTIONS = ("download", "update", "-x")

TIMEOUTS = [
    "-o=Acquire::Retries=1",
    "-o=Acquire::http::Timeout=15",
    "-o=Acquire::https::Timeout=15",
]

# As root, apt would download as the user _apt, who cannot write into a private folder. Hooks of the
# system for updates are cleared, since they are meant for the system's package lists.
CONFIGURATION = """\
Dir::State "{folder}/state";
Dir::State::lists "{folder}/state/lists";
Dir::Cache "{folder}/cache";
Dir::Cache::archives "{folder}/cache/archives";
Acquire::Languages "none";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


def fetch(package: str, folder: Path, say: Callable[[str], None]) -> Path:
    """Download ``package`` into ``folder``; return the folder with its files, as under ``/``.

    Raises:
        DataError: a tool is missing, failed or timed out.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise DataError(f"{tool} is not installed")
    download = ["apt-get", *TIMEOUTS, "download", package]
    try:
        _call(download, folder)
    except DataError:
        say("downloading the package lists of the system's repositories")
        _download_with_own_lists(download, folder)
    archives = list(folder.glob("*.deb"))
    if not archives:
        raise DataError(f"apt-get download {package} produced no file")
    tree = folder / "tree"
    _call(["dpkg-deb", "-x", str(archives[0]), str(tree)], folder)
    return tree


def _download_with_own_lists(download: list[str], folder: Path) -> None:
    """Download with new package lists, for systems with none (most containers) or old ones."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    configuration = folder / "apt.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder), encoding="utf-8")
    own = ["-c", str(configuration)]
    problems = []
    # A failed repository does not matter if another one has the package.
    for command in (["apt-get", *TIMEOUTS, *own, "update"], [*download, *own]):
        try:
            _call(command, folder)
        except DataError as error:
            problems.append(str(error))
        else:
            if "download" in command:
                return
    raise DataError("; ".join(problems))


def _call(command: list[str], folder: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    name = f"{command[0]} {next(word for word in command[1:] if word in ACTIONS)}"
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"{name} did not finish within {LIMIT_SECONDS} s") from None
    except OSError as error:
        raise DataError(f"{name} cannot be started: {error}") from error
    if done.returncode != 0:
        lines = [line.removeprefix("E:").strip() for line in done.stderr.splitlines()]
        reason = next((line for line in lines if line), f"exit code {done.returncode}")
        raise DataError(f"{name}: {reason}")
