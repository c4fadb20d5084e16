"""The helper's image as `docker load` takes it: the same bytes on every machine and day."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import tarfile
from importlib import resources

from orchestrator.errors import Refused

ARCHITECTURES = ("amd64", "arm64")
"""In the words of Go and of the OCI image specification."""
PROGRAM = "/orch-helper"
PORT = 4711
"""Where a holder answers, as `helper.c` has it; nothing is published on the host."""
USER = "65534:65534"
_EPOCH = "1970-01-01T00:00:00Z"


def archive(arch: str) -> bytes:
    """The image called `REF` for an engine of this architecture (`EngineFacts.arch`), as a docker-archive.

    raises Refused: there is no program for it.
    Source: Docker Image Specification v1.2, "Combined Image JSON + Filesystem Changeset Format".
    """
    if arch not in ARCHITECTURES:
        raise Refused(
            f'orch has no helper for the architecture "{arch}"',
            why=f"networks across hosts and moves of volumes need it; there is one for {' and '.join(ARCHITECTURES)}",
            fix="leave this node out of networks across hosts, or run helper/build.sh with a compiler for it",
        )
    layer, config = _layer(arch), _config(arch)
    digest, image_id = _sha256(layer), _sha256(config)
    manifest = [{"Config": f"{image_id}.json", "RepoTags": [REF], "Layers": [f"{digest}/layer.tar"]}]
    files = {"manifest.json": _json(manifest), f"{image_id}.json": config, f"{digest}/layer.tar": layer}
    return _tar([_file(name, content, 0o644) for name, content in files.items()])


def image_id(arch: str) -> str:
    """What an engine calls the loaded image: "sha256:..."; `arch` is one of ARCHITECTURES."""
    return f"sha256:{_sha256(_config(arch))}"


@functools.cache
def _layer(arch: str) -> bytes:
    """The program and nothing else.

    No directory to mount volumes at: the engine makes it, and an empty volume that is mounted over one of the image's
    would take over that directory's owner and mode (20.10 and 26.1), also by the mere question of the archive API.
    """
    program = resources.files(__package__).joinpath(f"helper-{arch}").read_bytes()
    return _tar([_file(PROGRAM.removeprefix("/"), program, 0o755)])


@functools.cache
def _config(arch: str) -> bytes:
    """Source: OCI Image Format Specification, "Image Configuration"."""
    container = {"Entrypoint": [PROGRAM], "Cmd": ["hold"], "StopSignal": "SIGTERM", "User": USER, "WorkingDir": "/"}
    return _json(
        {
            "architecture": arch,
            "os": "linux",
            "created": _EPOCH,
            "config": container,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_sha256(_layer(arch))}"]},
            "history": [{"created": _EPOCH, "created_by": "orch"}],
        }
    )


def _file(name: str, content: bytes, mode: int) -> tuple[tarfile.TarInfo, bytes]:
    """A member that belongs to root and to no time."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    return member, content


def _tar(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


REF = f"orch/helper:{_sha256(' '.join(map(image_id, ARCHITECTURES)).encode())[:12]}"
"""Its name on every engine. The tag follows from the images, so a new program has a new name."""
