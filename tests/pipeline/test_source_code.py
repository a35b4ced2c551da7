"""Which files count for a stage, and which edits change their fingerprints."""

from pathlib import Path

import pytest

from rectok.errors import UserError
from rectok.pipeline.source_code import SourceCode

FILES = {
    "__init__.py": "def __getattr__(name):\n    from rectok import api\n",
    "api.py": "",
    "stages/__init__.py": "",
    "stages/index.py": "from rectok import files\nfrom rectok.data.table import rows\n\n\ndef run():\n    import rectok.late\n",
    "stages/report.py": 'from rectok.pages import filled\n\n\ndef run():\n    return filled("report.html")\n',
    "files.py": "",
    "late.py": "from .data import table\n",
    "data/__init__.py": "",
    "data/table.py": "import typing\nfrom rectok.params import Params\n\nif typing.TYPE_CHECKING:\n    import rectok.api\n",
    "params/__init__.py": "from rectok.params.schema import Params\n",
    "params/schema.py": "import rectok.api\n",
    "pages/__init__.py": "def filled(name): ...\n",
    "pages/report.html": '{% extends "base.html" %}',
    "pages/base.html": "<html>",
    "pages/other.html": "",
}


def write(folder: Path, **changed: str) -> SourceCode:
    for name, text in {**FILES, **{name.replace("__", "/"): text for name, text in changed.items()}}.items():
        path = folder / "rectok" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return SourceCode(folder / "rectok")


def reached(code: SourceCode, stage: str) -> set[str]:
    return {path.removeprefix("rectok/") for path in code.fingerprints([f"rectok.stages.{stage}"])}


def test_all_that_is_imported_counts_but_for_parameters_type_checkers_and_functions_of_packages_passed(
    tmp_path: Path,
) -> None:
    files = {"__init__.py", "stages/__init__.py", "stages/index.py", "files.py", "data/__init__.py", "data/table.py"}
    assert reached(write(tmp_path), "index") == files | {"late.py"}


def test_templates_that_a_module_names_count_with_those_that_they_name(tmp_path: Path) -> None:
    packages = {"__init__.py", "stages/__init__.py", "stages/report.py", "pages/__init__.py"}
    assert reached(write(tmp_path), "report") == packages | {"pages/report.html", "pages/base.html"}


def test_an_import_by_a_computed_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rectok").mkdir()
    text = "import importlib\n\n\ndef run(name):\n    importlib.import_module(f'rectok.{name}')\n"
    code = write(tmp_path)
    (tmp_path / "rectok/late.py").write_text(text)
    with pytest.raises(UserError, match=r"rectok\.late imports a module by a computed name"):
        code.fingerprints(["rectok.stages.index"])
    (tmp_path / "rectok/late.py").write_text(text.replace("f'rectok.{name}'", "'rectok.api'"))
    assert "api.py" in reached(SourceCode(tmp_path / "rectok"), "index")


FUNCTION = 'def area(a, b):\n    """The area."""\n    return a * b\n'


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('"""A module."""\n\n\n# Never negative.\ndef area(a, b):\n    """Product."""\n\n    return (a * b)\n', True),
        (FUNCTION + 'LIMIT = 1\n"""At most."""\n', False),
        (FUNCTION.replace("*", "+"), False),
        (FUNCTION.replace("(a, b)", "(a, b=1)"), False),
        (FUNCTION.replace("    return", "    print(a)\n    return"), False),
    ],
)  # fmt: skip
def test_comments_docstrings_and_layout_change_no_fingerprint_and_code_does(
    tmp_path: Path, text: str, same: bool
) -> None:
    before, after = (write(tmp_path / name, **{"files.py": code}) for name, code in (("a", FUNCTION), ("b", text)))
    fingerprints = [code.fingerprints(["rectok.files"])["rectok/files.py"] for code in (before, after)]
    assert (fingerprints[0] == fingerprints[1]) == same
