"""How many CPUs this process may really use.

Inside a container Python sees every CPU of the host; a thread count taken from that makes an
engine several times slower than it need be.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path

MB_PER_VCPU = 1769
"""Lambda gives one vCPU per 1,769 MB (AWS Lambda developer guide, "Configure function memory")."""


def available_cpus(environ: Mapping[str, str] = os.environ, cgroup: Path | None = None) -> int:
    """Return the usable CPU count: affinity, capped by the cgroup quota and Lambda's memory."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota(cgroup or Path("/sys/fs/cgroup"))
    if quota is not None:
        cpus = min(cpus, math.ceil(quota))
    memory = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    if memory.isdecimal():
        cpus = min(cpus, math.ceil(int(memory) / MB_PER_VCPU))
    return max(cpus, 1)


def cgroup_quota(root: Path) -> float | None:
    """Return the quota in CPUs from cgroup v2 (`cpu.max`) or v1, or None where there is none."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        v1 = int((root / "cpu" / "cpu.cfs_quota_us").read_text())
        period_v1 = int((root / "cpu" / "cpu.cfs_period_us").read_text())
        return v1 / period_v1 if v1 > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
