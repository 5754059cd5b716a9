"""The functions that the demo calls: as anybody might write them, knowing no pool."""

from __future__ import annotations

import ast
import hashlib
import zlib
from typing import Final, NamedTuple
from urllib.parse import urlsplit

BRANCHES: Final = (ast.For, ast.If, ast.IfExp, ast.Try, ast.While)


class Survey(NamedTuple):
    """What is in a source file.

    Attributes:
        nodes: Nodes of its syntax tree.
        deepest: How deep the tree is.
        names: Different names in it.
        branches: Branches of the function that has the most.
    """

    nodes: int
    deepest: int
    names: int
    branches: int


def survey(path: str) -> Survey:
    """Parse a file and walk its syntax tree."""
    with open(path, "rb") as file:
        return survey_source(file.read())


def survey_source(source: bytes) -> Survey:
    """Parse source code and walk its syntax tree."""
    nodes = deepest = branches = 0
    names: set[str] = set()
    rest: list[tuple[ast.AST, int]] = [(ast.parse(source), 1)]
    while rest:
        node, depth = rest.pop()
        nodes += 1
        deepest = max(deepest, depth)
        names.update(_names(node))
        if isinstance(node, ast.FunctionDef):
            branches = max(branches, _branches(node))
        rest.extend((child, depth + 1) for child in ast.iter_child_nodes(node))
    return Survey(nodes, deepest, len(names), branches)


def _names(node: ast.AST) -> list[str]:
    values = [getattr(node, field, None) for field in ("id", "name", "attr", "arg")]
    return [value for value in values if isinstance(value, str)]


def _branches(function: ast.FunctionDef) -> int:
    return sum(isinstance(node, BRANCHES) for node in ast.walk(function))


def pack(paths: tuple[str, ...]) -> tuple[int, str]:
    """Compress files together; return the size and the SHA-256 of that."""
    contents = list[bytes]()
    for path in paths:
        with open(path, "rb") as file:
            contents.append(file.read())
    packed = zlib.compress(b"".join(contents), level=9)
    return len(packed), hashlib.sha256(packed).hexdigest()


def square(x: int) -> int:
    """Return the square of a number."""
    return x * x


def fetch(url: str) -> int:
    """Fetch a page; return its size."""
    return len(_get(url))


def fetch_and_survey(url: str) -> Survey:
    """Fetch source code, parse it, and walk its syntax tree."""
    return survey_source(_get(url))


async def fetch_async(url: str) -> int:
    """Fetch a page without blocking; return its size."""
    import asyncio

    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        request = f"GET {where.path} HTTP/1.0\r\nHost: {where.netloc}\r\n\r\n"
        writer.write(request.encode("ascii"))
        status = await reader.readline()
        if status.split()[1:2] != [b"200"]:
            raise OSError(f"{url} answered {status!r}")
        while await reader.readline() != b"\r\n":
            pass
        return len(await reader.read())
    finally:
        writer.close()


def _get(url: str) -> bytes:
    from http import HTTPStatus
    from http.client import HTTPConnection

    where = urlsplit(url)
    connection = HTTPConnection(where.netloc, timeout=30)
    try:
        connection.request("GET", where.path)
        response = connection.getresponse()
        if response.status != HTTPStatus.OK:
            raise OSError(f"{url} answered {response.status} {response.reason}")
        return response.read()
    finally:
        connection.close()
