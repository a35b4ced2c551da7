"""The page of `rectok serve` on untrained networks, served on loopback from this process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from rectok.artifacts import stage_dir
from rectok.cli.serve import listening, load_networks
from rectok.serving.app import application
from rectok.tokenizer.kinds import load_tokenizer
from tests.evaluation import project
from tests.networks import drawn, keep


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The page's address. Its project is made in `folder`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        project.build()
        keep("decoder", drawn(load_tokenizer(stage_dir("decoder")), 0.3))
        app = application(load_networks())
    listener = listening("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server has ended"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
