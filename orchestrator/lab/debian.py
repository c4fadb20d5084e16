"""Debian packages as files: what apt would install on an empty machine, fetched and unpacked, nothing configured.

apt runs with state of its own (package lists, an empty list of installed packages, downloads) in the cache directory
and with this machine's sources, proxies and keys; it checks signatures as always. The machine's packages don't matter.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from orchestrator.errors import LabError
from orchestrator.lab import processes

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_USELESS = ("doc", "man", "locale", "info", "lintian", "bug")
"""Below /usr/share, in no image."""

MERGED = ("bin", "sbin", "lib", "lib64")
"""Links into /usr since Debian 12."""


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """Where packages come from. suite: a release's name, or empty for whatever this machine's own sources have."""

    cache: Path
    suite: str = ""

    @property
    def _state(self) -> Path:
        return self.cache / "apt" / (self.suite or "own")

    @property
    def _archives(self) -> Path:
        return self._state / "archives"

    def closure(self, packages: Sequence[str]) -> tuple[Path, ...]:
        """The .deb files of the packages and of all that they depend on, downloaded where needed, by name.

        Lists are refreshed when there are none, or when a file that they name is no longer offered.
        """
        self._prepare()
        if not any((self._state / "lists").glob("*Packages*")):
            self._apt("update", "-qq")
        try:
            return self._fetched(packages)
        except LabError:
            self._apt("update", "-qq")
            return self._fetched(packages)

    def _fetched(self, packages: Sequence[str]) -> tuple[Path, ...]:
        wanted = {self._archives / name: size for name, size in self._solution(packages)}
        if not all(path.exists() and path.stat().st_size == size for path, size in wanted.items()):
            self._apt("install", "-y", "-qq", "--download-only", *packages)
        return tuple(sorted(wanted))

    def _solution(self, packages: Sequence[str]) -> list[tuple[str, int]]:
        """(file name, size in bytes) of each package; asked with no downloads, or apt would leave those out."""
        out = self._apt("install", "-o", f"Dir::Cache::archives={self._state}/none", "-y", "--print-uris", *packages)
        found = re.findall(r"^'[^']+' (\S+\.deb) (\d+) ", out, re.MULTILINE)
        return [(name, int(size)) for name, size in found]

    def _prepare(self) -> None:
        for directory in ("lists/partial", "archives/partial", "none/partial"):
            (self._state / directory).mkdir(parents=True, exist_ok=True)
        (self._state / "status").touch()
        if self.suite:
            key = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
            (self._state / "sources.list").write_text(f"deb {key}{_debian_mirror()} {self.suite} main\n")

    def _apt(self, verb: str, *arguments: str) -> str:
        options = {
            "Dir::State": self._state,
            "Dir::State::lists": self._state / "lists",
            "Dir::State::status": self._state / "status",
            "Dir::Cache::archives": self._archives,
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "APT::Sandbox::User": "root",
            "APT::Install-Recommends": "false",
            "Acquire::Languages": "none",
        }
        if self.suite:
            options |= {"Dir::Etc::sourcelist": self._state / "sources.list", "Dir::Etc::sourceparts": "/dev/null"}
            options |= {"Dir::Etc::preferencesparts": "/dev/null"}
        flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return processes.run(["apt-get", *flags, verb, *arguments])


def _debian_mirror() -> str:
    """The archive that this machine's own apt sources name; LabError when there is none."""
    text = processes.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages"])
    for line in text.splitlines():
        address, _, label = line.partition(" ")
        if label == "Debian" or address.rstrip("/").endswith("/debian"):
            return address
    fix = "add one to /etc/apt/sources.list.d, or ask for the engine that this machine has"
    raise LabError("no Debian archive in this machine's apt sources", fix=fix)


def unpack(packages: Sequence[Path], tree: Path) -> None:
    """The packages' files below `tree`, without documentation; no script of any package runs."""
    for name in MERGED:
        (tree / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (tree / name).is_symlink():
            (tree / name).symlink_to(f"usr/{name}")
    without = [f"--exclude=./usr/share/{name}" for name in _USELESS]
    tar = ["tar", "-x", "-C", str(tree), "--keep-directory-symlink", "--no-same-owner", *without]
    for package in packages:
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as source:
            done = subprocess.run(tar, stdin=source.stdout, capture_output=True, text=True)
        if done.returncode or source.returncode:
            raise LabError(f'"{package.name}" can\'t be unpacked', why=done.stderr.strip()[-300:], fix=f"rm {package}")
