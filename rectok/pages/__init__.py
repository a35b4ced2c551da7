"""What all pages for people share: one head, one style, nothing from outside."""

import base64
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def filled(package: str, template: str, **values: Any) -> str:
    """The HTML `template` of `package` with `values`, which it and base.html may name; a value is escaped."""
    style = Markup(resources.files(__name__).joinpath("style.css").read_text(encoding="utf-8"))
    loader = ChoiceLoader([PackageLoader(package, ""), PackageLoader(__name__, "")])
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(style=style, **values)


def data_uri(path: Path) -> str:
    """A PNG file as a data: URI."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
