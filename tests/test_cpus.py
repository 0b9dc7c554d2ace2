"""The CPUs a process may use, whatever the host shows."""

import os
from pathlib import Path

import pytest

from handler.cpus import available_cpus, cgroup_quota

VISIBLE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "170000 100000\n"}, 1.7),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu.max": "nonsense"}, None),
        ({}, None),
    ],
)
def test_quota_of_both_cgroup_versions(
    tmp_path: Path, files: dict[str, str], quota: float | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert cgroup_quota(tmp_path) == quota
    assert available_cpus({}, tmp_path) == (1 if quota == 0.5 else min(VISIBLE, 2 if quota else 99))


@pytest.mark.parametrize(
    ("memory", "cpus"),
    [("128", 1), ("1769", 1), ("1770", 2), ("3008", 2), ("10240", 6), ("x", 99), ("", 99)],
)
def test_lambda_memory_is_lambda_cpu(tmp_path: Path, memory: str, cpus: int) -> None:
    environ = {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory}
    assert available_cpus(environ, tmp_path) == min(VISIBLE, cpus)


def test_affinity_is_respected(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert available_cpus({}, tmp_path) == 1
    finally:
        os.sched_setaffinity(0, before)
