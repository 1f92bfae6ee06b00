"""How `make docs` builds the manual."""

import tomllib
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

_PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]

project = _PROJECT["name"]
release = version = _PROJECT["version"]
copyright = "the django_dlq authors"  # noqa: A001  # Sphinx asks for this name
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"{project} {release}"
myst_heading_anchors = 3
# Some links leave the manual for files of the repository.
suppress_warnings = ["myst.xref_missing"]


def setup(app: Sphinx) -> None:
    """Let diagrams stand as their text, which GitHub draws."""
    app.add_lexer("mermaid", TextLexer)
