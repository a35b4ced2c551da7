"""Nobody looks for garbage while many modules are imported, and everybody does afterwards."""

import gc

import pytest

from rectok.imports import importing


def test_garbage_waits_until_the_imports_have_ended() -> None:
    before = _collections()
    with importing():
        kept = [[] for _ in range(100_000)]  # type: ignore[var-annotated]
    assert _collections() == before
    assert gc.isenabled()
    assert len(kept) == 100_000
    assert gc.get_freeze_count() == 0


def test_it_is_looked_for_again_after_an_import_that_fails() -> None:
    with pytest.raises(ModuleNotFoundError), importing():
        import rectok.nothing  # type: ignore[import-not-found]  # noqa: F401
    assert gc.isenabled()


def test_who_had_turned_it_off_finds_it_off() -> None:
    gc.disable()
    try:
        with importing():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def _collections() -> int:
    return sum(generation["collections"] for generation in gc.get_stats())
