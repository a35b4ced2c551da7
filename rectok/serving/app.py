"""A local page to draw samples and to reconstruct images, as a Starlette application."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from rectok.errors import UserError
from rectok.pages import filled
from rectok.serving.networks import MOST_SAMPLES, Networks

MOST_BYTES = 32 * 2**20
"""Of an uploaded image."""
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


def application(networks: Networks, hosts: Sequence[str] = LOOPBACK) -> Starlette:
    """The page at /, and /sample and /reconstruct, which answer with PNGs or with a sentence and status 400 or 413.

    It answers under the names `hosts` only, so that no page from elsewhere reaches it by a name of its own (DNS rebinding).
    """

    async def page(_: Request) -> Response:
        return HTMLResponse(
            filled("rectok.serving", "page.html", networks=networks, most=MOST_SAMPLES, scale=networks.guidance.scale)
        )

    async def sample(request: Request) -> Response:
        _require_own_page(request)
        query = request.query_params
        label, count, seed = (_number(query.get(name, default), name, int) for name, default in INTEGERS)
        scale = _number(query.get("guidance", "1"), "guidance", float)
        kind = query.get("kind", "cfg")
        return _png(await run_in_threadpool(networks.samples, int(label), int(count), scale, kind, int(seed)))

    async def reconstruct(request: Request) -> Response:
        _require_own_page(request)
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > MOST_BYTES:
                return PlainTextResponse(f"the image is larger than {MOST_BYTES // 2**20} MB", 413)
        picture, quality = await run_in_threadpool(networks.reconstruction, bytes(content))
        return _png(picture, {"X-PSNR": f"{quality:.2f}"})

    routes = [Route("/", page), Route("/sample", sample), Route("/reconstruct", reconstruct, methods=["POST"])]
    guard = Middleware(TrustedHostMiddleware, allowed_hosts=[*hosts], www_redirect=False)
    return Starlette(routes=routes, middleware=[guard], exception_handlers={UserError: _refused})


def _require_own_page(request: Request) -> None:
    """Raise UserError for what a page of another origin asks for: it could keep the device busy.

    Another port of this machine is another origin of the same site. Programs such as curl send no such header.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise UserError("another page asks for this; open the page itself")


INTEGERS = (("label", "0"), ("count", "16"), ("seed", "0"))


def _number(text: str, name: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(text)
    except ValueError:
        what = "an integer" if kind is int else "a number"
        raise UserError(f"{name} is {text[:40]!r}, but must be {what}") from None


def _png(content: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(content, media_type="image/png", headers={"Cache-Control": "no-store", **(headers or {})})


async def _refused(_: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), 400)
