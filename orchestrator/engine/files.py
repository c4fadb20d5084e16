"""Files for a container, as the tar archive that the engine unpacks before it starts."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from orchestrator.engine.protocol import UploadedFile

if TYPE_CHECKING:
    from orchestrator.engine.transport import Api


def archive_of(files: Iterable[UploadedFile], *, root: str = "/") -> bytes:
    """A tar of the files by their paths below `root`. Parents are not in it: an existing folder keeps its owner."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in files:
            entry = tarfile.TarInfo(str(PurePosixPath(file.path).relative_to(root)))
            entry.size, entry.mode = len(file.content), file.mode
            entry.uid, entry.gid = file.uid, file.gid
            archive.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()


def put_archives(api: Api, container: str, files: Sequence[UploadedFile]) -> None:
    """One archive for all; where the root is read-only, one for each folder (which a volume must hold)."""
    from docker.errors import APIError

    try:
        api.put_archive(container, "/", archive_of(files))
    except APIError as error:
        if "read-only" not in str(error.explanation):
            raise
        for folder, group in _by_folder(files).items():
            api.put_archive(container, folder, archive_of(group, root=folder))


def _by_folder(files: Iterable[UploadedFile]) -> Mapping[str, list[UploadedFile]]:
    groups: dict[str, list[UploadedFile]] = {}
    for file in files:
        groups.setdefault(str(PurePosixPath(file.path).parent), []).append(file)
    return groups
