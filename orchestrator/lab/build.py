"""Images built from recipes: packages in, docker-archives out, without a registry, a daemon or a container."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestrator.lab import archive, debian, processes, tree
from orchestrator.lab.engines import locked
from orchestrator.lab.recipes import FILES, Recipe, recipes
from orchestrator.lab.settings import DEFAULT_CACHE

_ALWAYS_USERS = {"root": 0, "nobody": 65534}
_ALWAYS_DIRECTORIES = ("dev", "etc", "proc", "root", "run", "sys", "tmp", "var/tmp")
_STICKY = ("tmp", "var/tmp")


def build_images(
    names: Sequence[str],
    outdir: Path | None = None,
    *,
    cache: Path = DEFAULT_CACHE,
    progress: Callable[[str], None] | None = None,
) -> list[Path]:
    """docker-archives of the recipes called `names` (all for none), in that order, in `outdir`.

    One that is there already is not built again: its file name carries a digest of its recipe.
    outdir: the cache's own directory by default.
    Raises NoSuchThing for an unknown name, LabError when apt can't fetch a package.
    """
    directory = outdir or cache / "images"
    wanted = recipes(names)
    if not all((directory / recipe.archive).exists() for recipe in wanted):
        with locked(cache):
            directory.mkdir(parents=True, exist_ok=True)
            for recipe in wanted:
                if not (directory / recipe.archive).exists():
                    (progress or (lambda _: None))(f"building {recipe.tag}")
                    build(recipe, directory / recipe.archive, cache)
    return [directory / recipe.archive for recipe in wanted]


def build(recipe: Recipe, target: Path, cache: Path) -> str:
    """Write the recipe's image as a docker-archive and return its id."""
    release = debian.Release(cache=cache)
    with tempfile.TemporaryDirectory(prefix="orch-image-", ignore_cleanup_errors=True) as scratch:
        packages, image = Path(scratch).resolve() / "packages", Path(scratch).resolve() / "image"
        debian.unpack(release.closure(("busybox-static", *recipe.packages)), packages)
        tree.select(packages, image, keep=("/usr/bin/busybox", *recipe.keep), drop=recipe.drop)
        _link_applets(packages / "usr/bin/busybox", image)
        _furnish(image, recipe)
        if recipe.bytecode:
            _compile(packages, image, recipe.bytecode)
        return archive.write(image, target, tag=recipe.tag, config=recipe.config, owners=recipe.directories)


def _link_applets(busybox: Path, image: Path) -> None:
    """Every command of busybox that the image doesn't have from elsewhere."""
    for path in sorted(processes.run([str(busybox), "--list-full"]).split()):
        names = (image / path, image / "usr/bin" / Path(path).name, image / "usr/sbin" / Path(path).name)
        if not any(os.path.lexists(name) for name in names):
            (image / path).parent.mkdir(parents=True, exist_ok=True)
            (image / path).symlink_to("/usr/bin/busybox")


def _furnish(image: Path, recipe: Recipe) -> None:
    for name in (*_ALWAYS_DIRECTORIES, *recipe.directories):
        (image / name.lstrip("/")).mkdir(parents=True, exist_ok=True)
    for name in _STICKY:
        (image / name).chmod(0o1777)
    users = {**_ALWAYS_USERS, **recipe.users}
    _write(
        image, "/etc/passwd", "".join(f"{name}:x:{n}:{n}::/{'root' * (n == 0)}:/bin/sh\n" for name, n in users.items())
    )
    _write(image, "/etc/group", "".join(f"{name}:x:{n}:\n" for name, n in users.items()))
    _write(image, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    for path, name in {**recipe.files, "/usr/bin/idle": "idle.sh"}.items():
        _write(image, path, (FILES / name).read_text(), executable=name.endswith(".sh"))
    for path, pointed in recipe.links.items():
        (image / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (image / path.lstrip("/")).symlink_to(pointed)


def _write(image: Path, path: str, text: str, *, executable: bool = False) -> None:
    """Modes are set outright: the image must not depend on who builds it."""
    target = image / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(0o755 if executable else 0o644)


def _compile(packages: Path, image: Path, directory: str) -> None:
    """Byte code next to the Python files, by the packages' own interpreter, valid by content and not by time."""
    interpreter = next(packages.glob("usr/bin/python3.*[0-9]"))
    loader = next(packages.glob("usr/lib*/ld-linux-*.so.*"))
    libraries = ":".join(str(path) for path in sorted(packages.glob("usr/lib/*-linux-gnu")))
    environment = ["env", "-i", "PYTHONHASHSEED=0", "LANG=C.UTF-8", f"PYTHONHOME={packages}/usr"]
    python = [*environment, str(loader), "--library-path", libraries, str(interpreter), "-B", "-S"]
    options = ["-q", "-j1", "--invalidation-mode", "unchecked-hash", "-s", str(image)]
    compile_all = ["-m", "compileall", *options, str(image / directory.lstrip("/"))]
    processes.run([*python, *compile_all])
