"""A program that prints, as JSON, the stages that `dvc status` would list for the project in the current folder.

`dvc status` holds the locks of the repository and of files meanwhile, and a person's `dvc repro` in the same second would
fail at them. This takes none: while a stage runs it may call that one changed, which it will be asked about again.
"""

import json
import sys


def main() -> None:
    """Print the list on the last line."""
    from dvc.repo import Repo

    with Repo() as repo:
        found = [stage.name for stage in repo.index.stages if any(stage.changed_entries())]
    sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    main()
