"""Folders of networks on Hugging Face's hub: fetched into its cache, and pushed."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rectok.errors import UserError

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
NETWORKS = ("*.json", "*.safetensors")
"""What is fetched: code in a repository is left there."""
PARTS = ("tokenizer/*", "dit/*", "autoguidance/*", "statistics/*")
REPLACED = (*PARTS, "model.safetensors", "config.json", "model_index.json", "pipeline.py")
"""What a push removes where the new folder has no such file, as a part that it lacks would be taken for one of its own."""


def fetch(name: str | Path, revision: str | None = None, files: Sequence[str] = NETWORKS) -> Path:
    """The folder `name`, or else the copy of the repository `name` of the hub, of which only `files` are fetched.

    `revision` is a branch, tag or commit. Without a network, what the cache holds serves. Raises UserError where there is no
    such folder or repository, or the hub refuses it.
    """
    if Path(name).is_dir():
        return Path(name)
    repository = require_repository(str(name), "is neither a folder here nor a repository of the hub such as org/name")
    from huggingface_hub import snapshot_download

    with _refusals(repository):
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(files)))


def push(folder: Path, repository: str, private: bool) -> str:
    """Let the hub's `repository`, which is created if need be, hold the networks in `folder`. Its address.

    Other files of the repository stay. Raises UserError where the hub refuses it, or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with _refusals(repository):
        url = api.create_repo(repository, private=private or None, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            commit_message="Upload with rectok push",
            delete_patterns=list(REPLACED),
        )
    return str(url)


def require_repository(name: str, otherwise: str) -> str:
    """`name`. Raises UserError, which says what it is `otherwise`, where no repository can be called so."""
    if not REPOSITORY.fullmatch(name):
        raise UserError(f"{name} {otherwise}")
    return name


@contextmanager
def _refusals(repository: str) -> Iterator[None]:
    """Turns what the hub answers, or that it does not, into a UserError."""
    from huggingface_hub import constants, errors
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    silent: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]  # of the library that it speaks HTTP with
    try:
        yield
    except HFValidationError as error:
        raise UserError(f"{repository} cannot be the name of a repository: {error}") from None
    except HfHubHTTPError as error:
        raise UserError(_sentence(repository, error)) from None
    except LocalEntryNotFoundError as error:
        if isinstance(error.__cause__, HfHubHTTPError):
            raise UserError(_sentence(repository, error.__cause__)) from None
        raise UserError(
            f"{constants.ENDPOINT} cannot be reached, and there is no whole copy of {repository} in the cache"
        ) from None
    except (silent, OfflineModeIsEnabled):
        raise UserError(f"{constants.ENDPOINT} cannot be reached") from None
    except RuntimeError as error:  # of threads and of hf_xet, which transfer large files
        reason = str(error.__cause__ or error).partition("\n")[0]
        raise UserError(f"the transfer of {repository} broke off ({reason}); run the command again") from None


def _sentence(repository: str, error: "HfHubHTTPError") -> str:
    """What a refusal of the hub means, and what helps."""
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    hub, status, login = constants.ENDPOINT, error.response.status_code, "`hf auth login` keeps a token"
    if isinstance(error, GatedRepoError):
        return f"{repository} is gated; ask for access on its page at {hub}, and {login}"
    if isinstance(error, RepositoryNotFoundError):
        missing = f"there is no folder {repository} here, and {hub} has no such repository"
        return f"{missing} or does not show it to your token; {login}"
    if isinstance(error, RevisionNotFoundError):
        return f"{repository} at {hub} has no such revision"
    if status in (401, 403):
        return f"{hub} refuses your token for {repository} ({error.server_message or status}); {login}"
    return f"{hub} answered {status} for {repository}; try again later"
