"""The few files of an image out of the many of its packages: programs, their libraries, chosen directories."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from orchestrator.errors import LabError
from orchestrator.lab.debian import MERGED

_ELF = b"\x7fELF"


def select(packages: Path, image: Path, *, keep: Sequence[str], drop: Sequence[str]) -> None:
    """Copy into `image` what the globs in `keep` name below `packages`, with all libraries that it loads.

    Links are followed and kept. Raises LabError for a pattern that names nothing, and for a library not found.
    drop: globs of what is left out again, and whose libraries are not looked for.
    """
    for name in MERGED:
        (image / "usr" / name).mkdir(parents=True, exist_ok=True)
        (image / name).symlink_to(f"usr/{name}")
    dropped = {path for pattern in drop for path in packages.glob(pattern.lstrip("/"))}
    for pattern in keep:
        found = sorted(packages.glob(pattern.lstrip("/")))
        if not found:
            raise LabError(f'"{pattern}" names nothing in the packages', fix="correct the recipe")
        for path in found:
            _copy(packages, image, path, dropped)
    files = (path for path in sorted(image.rglob("*")) if path.is_file() and not path.is_symlink())
    for library in sorted(_libraries(packages, [packages / path.relative_to(image) for path in files])):
        _copy(packages, image, library, set())


def _copy(packages: Path, image: Path, path: Path, dropped: set[Path]) -> None:
    """Copy a file, a directory with all in it, or a link with what it points to."""
    path = path.parent.resolve() / path.name
    target = image / path.relative_to(packages)
    if path in dropped or target.is_symlink() or target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        link = os.readlink(path)
        target.symlink_to(link)
        pointed = packages / link.lstrip("/") if link.startswith("/") else path.parent / link
        if os.path.lexists(pointed):
            _copy(packages, image, Path(os.path.normpath(pointed)), dropped)
    elif path.is_dir():
        target.mkdir(exist_ok=True)
        for child in sorted(path.iterdir()):
            _copy(packages, image, child, dropped)
    elif path.is_file():
        shutil.copy2(path, target)


def _libraries(packages: Path, files: Iterable[Path]) -> set[Path]:
    """What the loader in `packages` maps for the files, itself included; nothing where all are static.

    libgcc_s comes along because glibc loads it by itself when a thread ends, and aborts without it.
    """
    binaries = [file for file in files if _is_elf(file)]
    loaders = sorted(packages.glob("usr/lib*/ld-linux-*.so.*")) + sorted(packages.glob("usr/lib/*/ld-linux-*.so.*"))
    if not binaries or not loaders:
        return set()
    found = {library for binary in binaries for library in _loaded(packages, loaders[0], binary)}
    return found | {loaders[0], *packages.glob("usr/lib/*-linux-gnu/libgcc_s.so.1")} if found else set()


def _is_elf(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(4) == _ELF


def _loaded(packages: Path, loader: Path, binary: Path) -> Iterator[Path]:
    """Asked of the closure's own loader, so this machine's libraries play no part; static programs load nothing."""
    where = ":".join(str(path) for path in (packages / "usr/lib", *sorted(packages.glob("usr/lib/*-linux-gnu"))))
    argv = [str(loader), "--inhibit-cache", "--library-path", where, "--list", str(binary)]
    done = subprocess.run(argv, capture_output=True, text=True)
    if "not found" in done.stdout:
        raise LabError(f'libraries of "{binary.relative_to(packages)}" are missing', why=done.stdout.strip()[:500])
    for path in re.findall(r" => (/\S+) \(0x", done.stdout):
        if Path(path).is_relative_to(packages):
            yield Path(path)
        elif not Path(path).name.startswith("ld-linux"):
            raise LabError(f'"{binary.name}" would load this machine\'s "{path}"', fix="add its package to the recipe")
