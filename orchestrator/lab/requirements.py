"""What a machine must have before a lab can run on it."""

from __future__ import annotations

import os
import shutil

from orchestrator.errors import LabError

PACKAGES = {
    "dockerd": "docker.io",
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "bridge": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
}
"""Program -> the Debian package that has it."""


def require_root() -> None:
    if os.geteuid() != 0:
        why = "it makes namespaces, mounts, control groups and Docker engines"
        raise LabError("the lab needs root", why=why, fix="run it with sudo, or as root in a virtual machine")


def require_programs() -> None:
    """LabError that names each missing program and the packages that bring them."""
    missing = [program for program in PACKAGES if shutil.which(program) is None]
    if not missing:
        return
    packages = " ".join(dict.fromkeys(PACKAGES[program] for program in missing))
    raise LabError(
        f"the lab needs programs that are not here: {', '.join(missing)}",
        why=f"none of them is in PATH={os.environ.get('PATH', '')}",
        fix=f"apt-get install -y --no-install-recommends {packages}   (and have /usr/sbin in PATH)",
    )
