"""Self-contained HTML pages, written from the templates beside this file."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .. import __version__
from ..core.io.files import replacing

_TEMPLATES = Path(__file__).with_name("templates")


def write_page(path: str | Path, template: str, **values: Any) -> None:
    """Fill a template and write the page; an existing file is replaced last and kept when anything fails.

    Args:
        path: of the .html file, in an existing folder.
        template: file name in the folder "templates".
        values: variables of the template; text is escaped, PNG bytes are embedded.

    Raises:
        OutputError: the file cannot be written.
    """
    page = _environment().get_template(template).render(values)
    with replacing(path) as file:
        file.write_bytes(page.encode("utf-8", errors="xmlcharrefreplace"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,  # a missing value is an error, not empty text
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["data_uri"] = _data_uri
    environment.globals["version"] = __version__
    return environment


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
