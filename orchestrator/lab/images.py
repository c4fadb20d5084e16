"""Images onto nodes, from docker-archives, without a registry."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from orchestrator.errors import LabError
from orchestrator.lab import api


def contents(archive: Path) -> set[tuple[str, str]]:
    """(image id, tag) of the images in a docker-archive; LabError when it is none."""
    try:
        with tarfile.open(archive) as tar:
            member = tar.extractfile("manifest.json")
            manifest = json.load(member) if member else []
    except (OSError, KeyError, tarfile.TarError, ValueError) as error:
        fix = "make it with `docker save` or `orch lab images build`"
        raise LabError(f'"{archive}" is no docker-archive', why=str(error), fix=fix) from error
    ids = ((image["Config"].removesuffix(".json").rpartition("/")[2], image["RepoTags"] or ()) for image in manifest)
    return {(f"sha256:{image_id}", tag) for image_id, tags in ids for tag in tags}


def load_missing(sockets: Sequence[Path], archives: Sequence[Path]) -> None:
    """Load each archive on each engine that lacks it, a few at a time."""
    wanted = {archive: contents(archive) for archive in archives}

    def complete(path: Path) -> None:
        present = set(api.image_tags(path))
        for archive, images in wanted.items():
            if not images or not images <= present:
                api.load(path, archive)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(complete, sockets))
