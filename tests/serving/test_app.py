"""The local page over HTTP: what it draws, and what it refuses in one sentence."""

import io
from collections.abc import Iterator
from http.client import HTTPMessage
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import numpy as np
import pytest
import torch
from PIL import Image

from rectok.api import Generator, Tokenizer
from rectok.cli.serve import accepted_hosts
from rectok.evaluation.image_quality import psnr, to_uint8
from rectok.serving.app import LOOPBACK, MOST_BYTES
from tests.data.files import picture, saved
from tests.serving.server import serving

SIDE = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def address(folder) -> Iterator[str]:
    with serving(folder) as address:
        yield address


def answer(address: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, HTTPMessage]:
    request = Request(address, body, headers)
    try:
        with urlopen(request, timeout=60) as response:
            return response.status, response.read(), response.headers
    except HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)[::3, ::3, :3]  # enlarged three times


def test_samples_are_those_of_the_api(address: str, folder) -> None:
    status, content, headers = answer(f"{address}/sample?label=2&count=2&guidance=3&seed=5&kind=autoguidance")
    assert (status, headers["content-type"]) == (200, "image/png")
    from rectok.params.loading import load

    settings = load(folder / "params.yaml").generation
    generator = Generator.load(folder / "data", device="cpu")
    expected = to_uint8(
        generator.sample(2, 2, guidance=3.0, kind="autoguidance", seed=5, sampler=settings.sampler), "round"
    )
    assert np.array_equal(pixels(content)[:SIDE, :SIDE], expected[0].permute(1, 2, 0).numpy())
    assert expected.float().std() > 1
    for change in ("label=1", "guidance=2", "seed=6", "kind=cfg"):
        values = {"label": "2", "count": "2", "guidance": "3", "seed": "5", "kind": "autoguidance"}
        values |= [change.split("=")]
        assert answer(f"{address}/sample?{urlencode(values)}")[1] != content


def test_a_reconstruction_stands_beside_its_original_with_its_psnr(address: str, folder) -> None:
    upload = picture(1, (SIDE, SIDE))
    status, content, headers = answer(f"{address}/reconstruct", upload)
    with Image.open(io.BytesIO(upload)) as image:
        original = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None]
    tokenizer = Tokenizer.load(folder / "data" / "decoder", device="cpu")
    rebuilt = to_uint8(tokenizer.decode(tokenizer.encode(original)), "round")
    assert status == 200 and headers["x-psnr"] == f"{float(psnr(rebuilt, original)):.2f}"
    assert np.array_equal(pixels(content)[:, :SIDE], original[0].permute(1, 2, 0).numpy())


@pytest.mark.parametrize(
    "query, sentence",
    [
        ("label=7", "label 7 does not exist: labels run from 0 to 2"),
        (f"label={10**30}", f"label {10**30} does not exist: labels run from 0 to 2"),
        ("label=-1", "label -1 does not exist: labels run from 0 to 2"),
        ("label=cat", "label is 'cat', but must be an integer"),
        ("count=65", "count is 65, but must be from 1 to 64"),
        ("guidance=nan", "guidance is nan, but must be from 0 to 100"),
        ("guidance=x", "guidance is 'x', but must be a number"),
        ("kind=magic", "kind is 'magic', but must be one of cfg, autoguidance"),
        ("seed=-1", "seed is -1, but must be from 0 to 2147483647"),
    ],
)
def test_a_value_out_of_range_is_refused_in_a_sentence(address: str, query: str, sentence: str) -> None:
    assert answer(f"{address}/sample?{query}")[:2] == (400, sentence.encode())


@pytest.mark.parametrize(
    "content, status, words",
    [
        (b"", 400, "the image cannot be used: zero-byte file"),
        (b"no image", 400, "the image cannot be used: not an image"),
        (picture(2)[:20], 400, "the image cannot be used: truncated or damaged"),
        (saved(Image.new("L", (40, 40)), "png"), 400, "is not among image.modes, RGB"),
        (bytes(MOST_BYTES + 1), 413, "the image is larger than 32 MB"),
    ],
)
def test_a_bad_upload_is_refused_in_a_sentence(address: str, content: bytes, status: int, words: str) -> None:
    code, text, _ = answer(f"{address}/reconstruct", content)
    assert code == status and words in text.decode()


def test_it_answers_under_its_own_name_only(address: str) -> None:
    assert answer(address, Host="elsewhere.example")[0] == 400
    assert answer(address)[0] == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])  # another port of this machine is the same site
def test_another_page_gets_nothing_computed(address: str, site: str) -> None:
    for path, body in (("sample?label=1&count=1", None), ("reconstruct", picture(1, (SIDE, SIDE)))):
        status, text, _ = answer(f"{address}/{path}", body, **{"Sec-Fetch-Site": site})
        assert (status, text) == (400, b"another page asks for this; open the page itself")
        assert answer(f"{address}/{path}", body, **{"Sec-Fetch-Site": "same-origin"})[0] == 200


@pytest.mark.parametrize(
    ("host", "accepted"),
    [
        ("127.0.0.1", (*LOOPBACK, "127.0.0.1")),
        ("GPU7", (*LOOPBACK, "gpu7")),
        ("2001:db8::5", (*LOOPBACK, "[2001:db8::5]")),
        ("0.0.0.0", ("*",)),
        ("::", ("*",)),
    ],
)
def test_only_an_open_address_answers_under_any_name(host: str, accepted: tuple[str, ...]) -> None:
    assert accepted_hosts(host) == accepted


def test_more_images_than_the_memory_holds_are_a_sentence(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rectok.cli.serve import load_networks
    from rectok.errors import UserError
    from tests.evaluation import project

    monkeypatch.chdir(tmp_path)
    project.build_models()
    networks = load_networks()

    def full(*_: object, **__: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Generator, "sample", full)
    with pytest.raises(UserError, match="more than the GPU's memory holds; ask for fewer images"):
        networks.samples(0, 64, 1.0, "cfg", 0)


def test_without_a_generator_it_reconstructs(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rectok.cli.serve import load_networks
    from rectok.errors import UserError
    from tests.evaluation import project

    monkeypatch.chdir(tmp_path)
    project.build_models()
    (tmp_path / "data/dit/config.json").unlink()
    networks = load_networks()
    assert networks.generator is None and networks.reconstruction(picture(3, (40, 30)))[1] > 0
    with pytest.raises(UserError, match="there is no generator yet"):
        networks.samples(0, 1, 1.0, "cfg", 0)


def test_a_port_in_use_is_a_sentence(address: str) -> None:
    from rectok.cli.serve import serve
    from rectok.errors import UserError

    port = int(address.rpartition(":")[2])
    with pytest.raises(UserError, match=rf"127\.0\.0\.1:{port} cannot be listened on \(address already in use"):
        serve(port=port)
