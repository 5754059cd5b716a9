"""Configuration of the documentation."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import smartpool  # noqa: E402 - found by the path above

project = "smartpool"
author = "smartpool contributors"
copyright = "2026, smartpool contributors"  # noqa: A001 - the name Sphinx reads
release = version = smartpool.__version__

extensions = [
    "myst_parser",
    "rules",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"smartpool {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "code"  # `name` in docstrings is code, as it is in Markdown
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# Names in signatures that have no page here: type variables, aliases of private
# modules, and what belongs to the standard library.
nitpick_ignore_regex = [
    ("py:.*", r"~?(smartpool\._[\w.]*\.)?[A-Z]\d?(_co|_contra)?"),
    ("py:.*", r"(smartpool\._.*|_[A-Za-z].*)"),
    ("py:.*", r"(collections|concurrent|typing|types|contextlib|os|abc)\..*"),
    ("py:class", r"(Callable|Iterable|Iterator|Awaitable|Mapping|Any|Self|Literal).*"),
    ("py:class", r"(BackendName|Hint|Kind|Fact)"),
    ("py:class", r"optional"),
    ("py:(class|exc)", r"[A-Z][a-z]+(Error|Exception|Warning)|Exception|BaseException"),
    ("py:class", r"(int|float|str|bool|bytes|list|dict|tuple|set|object|None|type)"),
]
