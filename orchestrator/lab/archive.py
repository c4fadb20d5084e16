"""A directory as a docker-archive that `docker load` takes: same content, same image id, on every machine and day."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

_EPOCH = "1970-01-01T00:00:00Z"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write(tree: Path, archive: Path, *, tag: str, config: Mapping[str, object], owners: Mapping[str, int]) -> str:
    """Write `tree` as an image of one layer and return its id; the archive appears only when complete.

    config: the image's `config` as in the OCI image specification.
    owners: absolute path in the image -> numeric user and group; all else belongs to root.
    """
    layer = archive.with_suffix(".layer")
    interim = archive.with_suffix(".part")
    try:
        with layer.open("wb") as out:
            _write_layer(tree, out, owners)
        digest = _sha256(layer)
        image = _image(digest, config)
        image_id = hashlib.sha256(image).hexdigest()
        manifest = [{"Config": f"{image_id}.json", "RepoTags": [tag], "Layers": [f"{digest}/layer.tar"]}]
        with tarfile.open(interim, "w") as tar, layer.open("rb") as content:
            _add(tar, "manifest.json", io.BytesIO(json.dumps(manifest).encode()))
            _add(tar, f"{image_id}.json", io.BytesIO(image))
            _add(tar, f"{digest}/layer.tar", content)
        interim.replace(archive)
    finally:
        layer.unlink(missing_ok=True)
        interim.unlink(missing_ok=True)
    return image_id


def _image(layer_digest: str, config: Mapping[str, object]) -> bytes:
    machine = os.uname().machine
    description: dict[str, Any] = {
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "created": _EPOCH,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        "history": [{"created": _EPOCH, "created_by": "orch lab images build"}],
    }
    return json.dumps(description, sort_keys=True).encode()


def _write_layer(tree: Path, out: IO[bytes], owners: Mapping[str, int]) -> None:
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in _sorted(tree):
            member = tar.gettarinfo(path, str(path.relative_to(tree)))
            member.uid = member.gid = owners.get(f"/{path.relative_to(tree)}", 0)
            member.uname = member.gname = ""
            member.mtime = 0
            if member.islnk():  # a hard link: written as a file of its own
                member.type, member.linkname, member.size = tarfile.REGTYPE, "", path.stat().st_size
            with path.open("rb") if member.isreg() else io.BytesIO() as content:
                tar.addfile(member, content)


def _sorted(tree: Path) -> Iterator[Path]:
    """Everything below `tree` but for special files, each directory before what it holds."""
    for path in sorted(tree.iterdir()):
        if path.is_symlink() or path.is_file() or path.is_dir():
            yield path
        if path.is_dir() and not path.is_symlink():
            yield from _sorted(path)


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.mode = 0o644
    member.size = content.seek(0, io.SEEK_END)
    content.seek(0)
    tar.addfile(member, content)


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
