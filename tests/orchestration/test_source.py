from orchestration.source import changed_deps


def test_only_changed_dependencies_count() -> None:
    status = {
        "index": [
            {"changed deps": {"data/raw": "modified"}, "changed outs": {"data/raw2": "deleted"}},
            "always changed",
        ],
        "shards@00000": ["changed command"],
    }
    assert changed_deps(status) == {"data/raw"}
    assert changed_deps({}) == set()
