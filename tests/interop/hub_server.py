"""A stand-in for Hugging Face's hub: repositories in memory, and the endpoints that huggingface_hub asks for models."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

TOKEN = "hf_right"
LARGE = ".safetensors"
"""Files of this ending are uploaded as objects of git LFS, all others within the commit."""


@dataclass
class Repository:
    private: bool = False
    gated: bool = False
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def sha(self) -> str:
        """Of the one commit that it shows."""
        names = [f"{name} {hashlib.sha1(content).hexdigest()}" for name, content in sorted(self.files.items())]
        return hashlib.sha1("\n".join(names).encode()).hexdigest()


class Hub(ThreadingHTTPServer):
    """Nobody may create a repository of the organisation `readonly`.

    `failing` is an HTTP status with which it answers everything. A `full` one takes no large files.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.failing, self.full = 0, False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running() -> Iterator[Hub]:
    with Hub() as hub:
        thread = Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield hub
        hub.shutdown()
        thread.join()


class _Refused(Exception):
    def __init__(self, status: int, code: str = "", message: str = "", answer: dict[str, str] | None = None) -> None:
        self.status, self.code, self.message, self.answer = status, code, message, answer or {}


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_PUT(self) -> None:
        self._answer(self._put)

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_HEAD(self) -> None:
        self._answer(self._get)

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, endpoint: Any) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.parts = self.path.partition("?")[0].strip("/").split("/")
        try:
            if self.server.failing:
                raise _Refused(self.server.failing)
            token = self.headers.get("Authorization", "")
            if token and token != f"Bearer {TOKEN}":
                raise _Refused(401, message="Invalid credentials in Authorization header")
            self._send(200, *endpoint())
        except _Refused as refused:
            headers = {"X-Error-Code": refused.code, "X-Error-Message": refused.message}
            self._send(
                refused.status,
                json.dumps(refused.answer).encode(),
                {name: text for name, text in headers.items() if text},
            )

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, text in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _post(self) -> tuple[bytes, dict[str, str]]:
        match self.parts:
            case ["api", "validate-yaml"]:
                return _json({"errors": [], "warnings": []})
            case ["api", "repos", "create"]:
                return _json(self._create(json.loads(self.body)))
            case ["api", "models", organisation, name, "preupload", "main"]:
                paths = [each["path"] for each in json.loads(self.body)["files"]]
                self._repository(organisation, name)
                modes = {path: "lfs" if path.endswith(LARGE) else "regular" for path in paths}
                return _json(
                    {
                        "files": [
                            {"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes.items()
                        ]
                    }
                )
            case [_, _, "info", "lfs", "objects", "batch"]:
                wanted = json.loads(self.body)["objects"]
                actions = [
                    {**each, "actions": {"upload": {"href": f"{self.server.url}/lfs/{each['oid']}"}}} for each in wanted
                ]
                return _json({"transfer": "basic", "objects": actions})
            case ["api", "models", organisation, name, "commit", "main"]:
                repository = self._repository(organisation, name)
                for line in self.body.splitlines():
                    self._commit(repository, **json.loads(line))
                return _json(
                    {
                        "commitUrl": f"{self.server.url}/{organisation}/{name}/commit/{repository.sha}",
                        "commitOid": repository.sha,
                    }
                )
        raise _Refused(404)

    def _create(self, asked: dict[str, Any]) -> dict[str, str]:
        name = f"{asked['organization']}/{asked['name']}"
        if not self.headers.get("Authorization"):
            raise _Refused(401, message="Invalid username or password.")
        if asked["organization"] == "readonly":
            raise _Refused(403, message="You don't have the rights to create a model under the namespace readonly")
        if name in self.server.repositories:
            raise _Refused(
                409, message="You already created this model repo", answer={"url": f"{self.server.url}/{name}"}
            )
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.server.repositories[name] = Repository(private)
        return {"url": f"{self.server.url}/{name}"}

    def _commit(self, repository: Repository, key: str, value: dict[str, Any]) -> None:
        match key:
            case "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            case "lfsFile":
                repository.files[value["path"]] = self.server.objects[value["oid"]]
            case "deletedFile":
                del repository.files[value["path"]]

    def _put(self) -> tuple[bytes, dict[str, str]]:
        if self.server.full:
            raise _Refused(507)
        oid = self.parts[-1]
        assert hashlib.sha256(self.body).hexdigest() == oid
        self.server.objects[oid] = self.body
        return b"", {}

    def _get(self) -> tuple[bytes, dict[str, str]]:
        match self.parts:
            case ["api", "models", organisation, name, "tree", _]:
                files = self._repository(organisation, name).files
                return _json(
                    [
                        {"type": "file", "path": path, "size": len(content), "oid": _oid(content)}
                        for path, content in files.items()
                    ]
                )
            case ["api", "models", organisation, name, *revision]:
                repository = self._repository(organisation, name)
                if revision not in ([], ["revision", "main"], ["revision", repository.sha]):
                    raise _Refused(404, "RevisionNotFound")
                siblings = [{"rfilename": path} for path in repository.files]
                return _json({"id": f"{organisation}/{name}", "sha": repository.sha, "siblings": siblings})
            case [organisation, name, "resolve", _, *path]:
                repository = self._repository(organisation, name)
                content = repository.files.get("/".join(path))
                if content is None:
                    raise _Refused(404, "EntryNotFound")
                return content, {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": repository.sha}
        raise _Refused(404)

    def _repository(self, organisation: str, name: str) -> Repository:
        repository = self.server.repositories.get(f"{organisation}/{name}")
        if repository is None or (repository.private and not self.headers.get("Authorization")):
            raise _Refused(404 if self.headers.get("Authorization") else 401, "RepoNotFound", "Repository not found")
        if repository.gated:
            raise _Refused(403, "GatedRepo", "Access to this model is restricted")
        return repository


def _json(tree: Any) -> tuple[bytes, dict[str, str]]:
    return json.dumps(tree).encode(), {"Content-Type": "application/json"}


def _oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
