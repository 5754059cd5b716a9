"""Unit: limits of control groups, on made-up trees of both versions."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartpool._observe.cgroups import (
    Groups,
    Quota,
    _positive,
    cpu_quota,
    find_groups,
    memory_limit,
    oom_kills,
)

MiB = 1 << 20
NO_LIMIT_V1 = 9223372036854771712
V2 = "30 23 0:26 {root} {point} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "31 23 0:27 {root} {point} rw - cgroup cgroup rw,{controllers}"


class Tree:
    """A root directory with what the kernel would show a process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mounted = ["22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw"]
        self.member = ["1:name=systemd:/"]
        self.write("proc/self/cgroup", "")

    def write(self, path: str, text: object) -> Path:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n", encoding="utf-8")
        return file

    def mount(self, point: str, root: str = "/", controllers: str = "") -> None:
        line = V1 if controllers else V2
        self.mounted.append(
            line.format(root=root, point=point, controllers=controllers)
        )
        self.write("proc/self/mountinfo", "\n".join(self.mounted))

    def join(self, path: str, controllers: str = "") -> None:
        self.member.append(f"{4 if controllers else 0}:{controllers}:{path}")
        self.write("proc/self/cgroup", "\n".join(self.member))

    def quota_v1(self, directory: str, quota_us: object, period_us: object) -> None:
        self.write(f"{directory}/cpu.cfs_quota_us", quota_us)
        self.write(f"{directory}/cpu.cfs_period_us", period_us)

    def groups(self) -> Groups:
        return find_groups(root=str(self.root))

    def quota(self) -> Quota | None:
        return cpu_quota(self.groups())

    def memory(self) -> int | None:
        return memory_limit(self.groups())


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Return a tree in which nothing is mounted."""
    return Tree(tmp_path)


@pytest.fixture
def v2(tree: Tree) -> Tree:
    """Return a tree with version 2, the process three groups deep."""
    tree.mount("/sys/fs/cgroup")
    tree.join("/a.slice/b.slice/c.service")
    return tree


@pytest.fixture
def v1(tree: Tree) -> Tree:
    """Return a tree with version 1, CPU and memory in hierarchies of their own."""
    tree.mount("/sys/fs/cgroup/cpu,cpuacct", controllers="cpu,cpuacct")
    tree.mount("/sys/fs/cgroup/memory", controllers="memory")
    tree.join("/docker/abc", "cpu,cpuacct")
    tree.join("/docker/def", "memory")
    return tree


def test_nothing_there(tree: Tree) -> None:
    """Without control groups there are no limits."""
    assert tree.quota() is None
    assert tree.memory() is None


def test_v2_limits_of_the_own_group(v2: Tree) -> None:
    """Both limits are found where the process is."""
    v2.write("sys/fs/cgroup/a.slice/b.slice/c.service/cpu.max", "150000 100000")
    v2.write("sys/fs/cgroup/a.slice/b.slice/c.service/memory.max", 512 * MiB)
    assert v2.quota() == Quota(1.5, "/a.slice/b.slice/c.service")
    assert v2.memory() == 512 * MiB


def test_v2_limits_of_a_grandparent(v2: Tree) -> None:
    """The smallest limit of the chain holds, wherever it is."""
    v2.write("sys/fs/cgroup/a.slice/cpu.max", "100000 100000")
    v2.write("sys/fs/cgroup/a.slice/memory.max", 64 * MiB)
    v2.write("sys/fs/cgroup/a.slice/b.slice/cpu.max", "300000 100000")
    v2.write("sys/fs/cgroup/a.slice/b.slice/memory.max", "max")
    v2.write("sys/fs/cgroup/a.slice/b.slice/c.service/cpu.max", "max 100000")
    v2.write("sys/fs/cgroup/a.slice/b.slice/c.service/memory.max", 128 * MiB)
    assert v2.quota() == Quota(1.0, "/a.slice")
    assert v2.memory() == 64 * MiB


def test_v2_siblings_do_not_count(v2: Tree) -> None:
    """Only the groups above limit the process, not those beside or below."""
    v2.write("sys/fs/cgroup/a.slice/b.slice/other/cpu.max", "1000 100000")
    v2.write("sys/fs/cgroup/a.slice/b.slice/c.service/sub/cpu.max", "1000 100000")
    v2.write("sys/fs/cgroup/a.slice/b.slic/cpu.max", "1000 100000")
    assert v2.quota() is None


def test_v2_in_a_container(tree: Tree) -> None:
    """With a namespace of its own, a container sees its group as the root."""
    tree.mount("/sys/fs/cgroup")
    tree.join("/")
    tree.write("sys/fs/cgroup/cpu.max", "50000 100000")
    tree.write("sys/fs/cgroup/memory.max", 256 * MiB)
    assert tree.quota() == Quota(0.5, "/")
    assert tree.memory() == 256 * MiB


def test_v1_limits(v1: Tree) -> None:
    """Each controller has its own hierarchy and its own path."""
    v1.quota_v1("sys/fs/cgroup/cpu,cpuacct/docker/abc", 200_000, 100_000)
    v1.quota_v1("sys/fs/cgroup/cpu,cpuacct/docker", -1, 100_000)
    v1.write("sys/fs/cgroup/memory/docker/def/memory.limit_in_bytes", NO_LIMIT_V1)
    v1.write("sys/fs/cgroup/memory/docker/memory.limit_in_bytes", 32 * MiB)
    assert v1.quota() == Quota(2.0, "/docker/abc")
    assert v1.memory() == 32 * MiB


def test_v1_without_limits(v1: Tree) -> None:
    """-1 and the largest number of pages are no limits."""
    v1.quota_v1("sys/fs/cgroup/cpu,cpuacct/docker/abc", -1, 100_000)
    v1.write("sys/fs/cgroup/memory/docker/def/memory.limit_in_bytes", NO_LIMIT_V1)
    assert v1.quota() is None
    assert v1.memory() is None


def test_v1_in_a_container_that_mounts_a_subtree(tree: Tree) -> None:
    """The mount's root is taken off the path, and what is above cannot be seen."""
    tree.mount("/sys/fs/cgroup/cpu", root="/docker/abc", controllers="cpu")
    tree.join("/docker/abc/worker", "cpu")
    tree.quota_v1("sys/fs/cgroup/cpu", 150_000, 100_000)
    tree.quota_v1("sys/fs/cgroup/cpu/worker", -1, 100_000)
    tree.quota_v1("sys/fs/cgroup/cpu/docker/abc", 1_000, 100_000)
    assert tree.quota() == Quota(1.5, "/docker/abc")


def test_the_mount_that_shows_most_is_read(tree: Tree) -> None:
    """A second mount, of a subtree, does not hide the limit of a parent."""
    tree.mount("/mnt/sub", root="/a/b")
    tree.mount("/sys/fs/cgroup", root="/")
    tree.mount("/mnt/other", root="/other")
    tree.join("/a/b")
    tree.write("sys/fs/cgroup/a/cpu.max", "100000 100000")
    tree.write("mnt/sub/cpu.max", "200000 100000")
    tree.write("mnt/other/cpu.max", "1000 100000")
    assert tree.quota() == Quota(1.0, "/a")


@pytest.mark.parametrize(
    ("root", "path"),
    [("/docker/abc", "/"), ("/docker/abc", "/docker/abcd"), ("/", "/../beside")],
)
def test_a_process_that_the_mount_does_not_show(
    tree: Tree, root: str, path: str
) -> None:
    """Where namespaces hide the own group, the top of the mount is read."""
    tree.mount("/sys/fs/cgroup", root=root)
    tree.join(path)
    tree.write("sys/fs/cgroup/cpu.max", "100000 100000")
    tree.write("sys/fs/beside/cpu.max", "1000 100000")
    assert tree.quota() == Quota(1.0, root)


def test_hybrid(tree: Tree) -> None:
    """With both versions mounted, each may have one of the controllers."""
    tree.mount("/sys/fs/cgroup/cpu", controllers="cpu")
    tree.mount("/sys/fs/cgroup/unified")
    tree.join("/job", "cpu")
    tree.join("/user.slice/job")
    tree.quota_v1("sys/fs/cgroup/cpu/job", 50_000, 100_000)
    tree.write("sys/fs/cgroup/unified/user.slice/memory.max", 16 * MiB)
    assert tree.quota() == Quota(0.5, "/job")
    assert tree.memory() == 16 * MiB


def test_blanks_in_paths(tree: Tree) -> None:
    """The octal escapes of mountinfo are undone; colons in a path are kept."""
    tree.mount("/my\\040groups")
    tree.join("/a:b c")
    tree.write("my groups/a:b c/cpu.max", "100000 100000")
    assert tree.quota() == Quota(1.0, "/a:b c")


def test_a_long_list_of_mounts(tree: Tree) -> None:
    """The kernel's lists are read to their end."""
    tree.mounted += ["22 1 8:1 / /x rw - ext4 /dev/sda1 rw"] * 5000
    tree.mount("/sys/fs/cgroup")
    tree.join("/a")
    tree.write("sys/fs/cgroup/a/cpu.max", "100000 100000")
    assert tree.quota() == Quota(1.0, "/a")


@pytest.mark.parametrize(
    "garbage",
    [
        *("", "max", "max 100000", "-1 100000", "0 100000", "100000 0", "100000"),
        *("x y", "1.5 1", "1e5 100000", "9" * 5000 + " 1", "\x00", "100000 -100000"),
    ],
    ids=lambda text: repr(text[:16]),
)
def test_garbage_is_no_limit(v2: Tree, garbage: str) -> None:
    """What makes no sense limits nothing."""
    v2.write("sys/fs/cgroup/a.slice/cpu.max", garbage)
    assert v2.quota() is None


def test_bytes_that_are_no_text(v2: Tree) -> None:
    """Files that are not text, or not files, limit nothing."""
    file = v2.write("sys/fs/cgroup/a.slice/cpu.max", "")
    file.write_bytes(b"\xff\xfe 100000")
    (v2.root / "sys/fs/cgroup/a.slice/b.slice/cpu.max").mkdir(parents=True)
    assert v2.quota() is None


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_unreadable_files(v2: Tree) -> None:
    """What may not be read limits nothing, and the rest still counts."""
    v2.write("sys/fs/cgroup/cpu.max", "300000 100000")
    file = v2.write("sys/fs/cgroup/a.slice/cpu.max", "100000 100000")
    file.chmod(0)
    expected = Quota(1.0, "/a.slice") if os.access(file, os.R_OK) else Quota(3.0, "/")
    assert v2.quota() == expected  # root reads everything


@pytest.mark.parametrize("text", ["", ":", "::", "0:", "x:y:z", "0::", "\n\n", "4:cpu"])
def test_a_broken_membership(tree: Tree, text: str) -> None:
    """Lines that are not as they should be raise nothing."""
    tree.mount("/sys/fs/cgroup")
    tree.write("proc/self/cgroup", text)
    assert tree.quota() is None


@pytest.mark.parametrize(
    "text", ["", "-", " - cgroup2", "a b - cgroup2 x", "1 2 3 4 5"]
)
def test_broken_mounts(tree: Tree, text: str) -> None:
    """Lines that are not as they should be are no mounts."""
    tree.join("/a")
    tree.write("proc/self/mountinfo", text)
    assert tree.groups().cpu == ()


@given(st.text())
def test_any_text_is_a_number_or_none(text: str) -> None:
    """No text raises, and what comes out is positive."""
    number = _positive(text)
    assert number is None or number > 0


def test_groups_are_looked_up_again_when_the_process_moved(v2: Tree) -> None:
    """What is known is kept for as long as the membership reads the same."""
    known = v2.groups()
    assert find_groups(known, root=str(v2.root)) is known
    v2.member.pop()
    v2.join("/moved")
    v2.write("sys/fs/cgroup/moved/cpu.max", "100000 100000")
    found = find_groups(known, root=str(v2.root))
    assert cpu_quota(found) == Quota(1.0, "/moved")


def test_a_limit_that_changes_is_seen(v2: Tree) -> None:
    """Limits are read each time, from groups that are known."""
    groups = v2.groups()
    assert cpu_quota(groups) is None
    v2.write("sys/fs/cgroup/a.slice/cpu.max", "100000 100000")
    assert cpu_quota(groups) == Quota(1.0, "/a.slice")


def test_processes_ended_for_want_of_memory_v2(v2: Tree) -> None:
    """Each group of the chain has a counter of its own; the top has none."""
    v2.write("sys/fs/cgroup/a.slice/memory.events", "low 1\noom 7\noom_kill 5")
    v2.write("sys/fs/cgroup/a.slice/b.slice/memory.events", "oom_kill 2\noom 1")
    v2.write("sys/fs/cgroup/a.slice/b.slice/other/memory.events", "oom_kill 9")

    assert oom_kills(v2.groups()) == {"/a.slice": 5, "/a.slice/b.slice": 2}


def test_processes_ended_for_want_of_memory_v1(v1: Tree) -> None:
    """Version 1 has the counter beside the switches, and old kernels do not."""
    v1.write(
        "sys/fs/cgroup/memory/docker/def/memory.oom_control",
        "oom_kill_disable 0\nunder_oom 0\noom_kill 3",
    )
    v1.write("sys/fs/cgroup/memory/memory.oom_control", "oom_kill_disable 0")

    assert oom_kills(v1.groups()) == {"/docker/def": 3}


@pytest.mark.parametrize("text", ["", "oom_kill", "oom_kill many", "oom_kill -1"])
def test_counters_that_make_no_sense(v2: Tree, text: str) -> None:
    """They are none."""
    v2.write("sys/fs/cgroup/memory.events", text)

    assert oom_kills(v2.groups()) == {}
