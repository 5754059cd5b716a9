"""What Linux control groups allow this process: CPU time and memory.

A limit holds for a group and for all groups below, so the whole chain counts, from
this process's group up to the highest one that can be seen. Containers often mount a
subtree: then the mount's root, not the file system's, is where the chain ends. Both
versions are read, and both at once (systemd's hybrid layout), as each may have one of
the controllers. Whatever is missing, unreadable or makes no sense is no limit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

_READ_BYTES = 1 << 14
_NO_LIMIT_BYTES = 1 << 62  # version 1 says "none" by the largest number of pages


class Group(NamedTuple):
    """One control group that this process is in.

    Attributes:
        version: 1 or 2.
        path: Its path among the groups, such as ``"/system.slice"``.
        directory: Where its files are.
    """

    version: int
    path: str
    directory: str


class Groups(NamedTuple):
    """The control groups that limit this process.

    Attributes:
        membership: The text that they were found from.
        cpu: Groups that may limit CPU time.
        memory: Groups that may limit memory.
    """

    membership: str
    cpu: tuple[Group, ...]
    memory: tuple[Group, ...]


class Quota(NamedTuple):
    """CPU time that a group may use.

    Attributes:
        cpus: Seconds of CPU a second, above 0.
        path: The group's path.
    """

    cpus: float
    path: str


class _Mount(NamedTuple):
    version: int
    controllers: frozenset[str]
    root: str
    point: str


def find_groups(known: Groups | None = None, *, root: str = "") -> Groups:
    """Return the groups of this process.

    Args:
        known: What was found before: returned if this process did not move since.
        root: Put before every path that is read.
    """
    membership = _read(f"{root}/proc/self/cgroup")
    if known is not None and known.membership == membership:
        return known
    mounts = tuple(_mounts(_read(f"{root}/proc/self/mountinfo")))
    return Groups(
        membership,
        tuple(_groups(membership, mounts, "cpu", root)),
        tuple(_groups(membership, mounts, "memory", root)),
    )


def cpu_quota(groups: Groups) -> Quota | None:
    """Return the smallest quota of CPU time; `None` without one."""
    quotas = [
        Quota(cpus, group.path)
        for group in groups.cpu
        if (cpus := _group_quota(group)) is not None
    ]
    return min(quotas, default=None)


def memory_limit(groups: Groups) -> int | None:
    """Return the smallest limit on memory, in bytes; `None` without one."""
    limits = [limit for group in groups.memory if (limit := _group_memory(group))]
    return min(limits, default=None)


def oom_kills(groups: Groups) -> dict[str, int]:
    """Return how many processes the kernel has ended for want of memory.

    Returns:
        Path of a group to how many of it, or of groups below it, there were so far;
        groups whose kernel does not say are left out.
    """
    kills: dict[str, int] = {}
    for group in groups.memory:
        name = "memory.oom_control" if group.version == 1 else "memory.events"
        for line in _read(f"{group.directory}/{name}").splitlines():
            word, _, count = line.partition(" ")
            if word == "oom_kill" and count.strip().isdecimal():
                kills[group.path] = int(count[:20])
    return kills


def _group_quota(group: Group) -> float | None:
    if group.version == 2:  # noqa: PLR2004 - "150000 100000", or "max 100000"
        quota, _, period = _read(f"{group.directory}/cpu.max").partition(" ")
    else:
        quota = _read(f"{group.directory}/cpu.cfs_quota_us")
        period = _read(f"{group.directory}/cpu.cfs_period_us")
    quota_us, period_us = _positive(quota), _positive(period)
    return quota_us / period_us if quota_us and period_us else None


def _group_memory(group: Group) -> int | None:
    name = "memory.limit_in_bytes" if group.version == 1 else "memory.max"
    limit = _positive(_read(f"{group.directory}/{name}"))
    return limit if limit is not None and limit < _NO_LIMIT_BYTES else None


def _positive(text: str) -> int | None:
    """Return the number in `text`; `None` for "max", -1, 0 and what is no number."""
    text = text.strip()
    # Not `int` alone: it takes "1_0", and raises on thousands of digits.
    return int(text) or None if text.isdecimal() and len(text) < 20 else None  # noqa: PLR2004


def _groups(
    membership: str, mounts: tuple[_Mount, ...], controller: str, root: str
) -> Iterator[Group]:
    """Yield the groups of this process, innermost first, one version after the other.

    A line of `membership` is ``4:cpu,cpuacct:/path``, or ``0::/path`` in version 2.
    """
    for line in membership.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        version = 2 if number == "0" and not controllers else 1
        if version == 1 and controller not in controllers.split(","):
            continue
        mount = _mount_of(mounts, version, controller, path)
        if mount is not None:
            yield from _chain(mount, path, root)


def _mount_of(
    mounts: tuple[_Mount, ...], version: int, controller: str, path: str
) -> _Mount | None:
    """Return the mount that shows most of the chain of `path`."""
    fitting = [
        mount
        for mount in mounts
        if mount.version == version
        and (version != 1 or controller in mount.controllers)
    ]
    holding = [mount for mount in fitting if _below(mount.root, path) is not None]
    # If none holds it, namespaces hide where the process is: what the container sees
    # at the top is then the best guess at its own group.
    return min(holding or fitting, key=lambda mount: len(mount.root), default=None)


def _chain(mount: _Mount, path: str, root: str) -> Iterator[Group]:
    """Yield the group at `path` and those above it, as far as `mount` shows them."""
    names = (_below(mount.root, path) or "").split("/")
    for depth in range(len(names), 0, -1):
        below = "/".join(names[:depth])
        yield Group(
            mount.version,
            mount.root.rstrip("/") + below or "/",
            root + mount.point.rstrip("/") + below,
        )


def _below(top: str, path: str) -> str | None:
    """Return what follows `top` in `path`, "" or "/..."; `None` if it is elsewhere."""
    top, path = top.rstrip("/"), path.rstrip("/")
    # A path with ".." leads out of what this namespace can see.
    if ".." in path.split("/") or not f"{path}/".startswith(f"{top}/"):
        return None
    return path[len(top) :]


def _mounts(mountinfo: str) -> Iterator[_Mount]:
    """Yield the mounted hierarchies of control groups.

    A line is ``ID PARENT DEV ROOT POINT OPTIONS... - TYPE SOURCE SUPER_OPTIONS``.
    """
    for line in mountinfo.splitlines():
        place, _, kind = line.partition(" - ")
        fields, types = place.split(" "), kind.split(" ")
        if len(fields) < 6 or types[0] not in {"cgroup", "cgroup2"}:  # noqa: PLR2004
            continue
        yield _Mount(
            2 if types[0] == "cgroup2" else 1,
            frozenset(types[-1].split(",")),
            _unescaped(fields[3]),
            _unescaped(fields[4]),
        )


def _unescaped(path: str) -> str:
    """Undo the octal escapes of mountinfo: blank, tab, newline, backslash."""
    for code, character in (
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ):
        path = path.replace(code, character)
    return path


def _read(path: str) -> str:
    """Return the text of a file; "" if it cannot be read.

    By descriptor: half the time of `open` (6 µs against 13 µs).
    """
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        # In pieces: the kernel gives out mountinfo by the page, whatever one asks for.
        pieces = iter(lambda: os.read(fd, _READ_BYTES), b"")
        return b"".join(pieces).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
    finally:
        os.close(fd)
