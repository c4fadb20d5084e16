"""A throw-away cluster of real Docker engines on one machine, and small images for it without a registry.

    lab = Lab(Path("/tmp/mylab"), name="mine")
    lab.up(nodes=3, tls=True)
    subprocess.run(["docker", "info"], env=os.environ | lab.env("n1"))
    lab.kill("n2"); lab.restart("n2"); lab.down()

Needs root, and Debian's docker.io, iptables and iproute2. Nothing in it can reach the outside.
"""

from orchestrator.lab.build import build_images
from orchestrator.lab.cluster import Lab, LabReport, NodeReport
from orchestrator.lab.network import Link

__all__ = ["Lab", "LabReport", "Link", "NodeReport", "build_images"]
