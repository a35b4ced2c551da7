"""`rectok serve`: a local page to draw samples and to reconstruct images."""

import socket
from typing import TYPE_CHECKING, Annotated

import typer

from rectok import artifacts
from rectok.cli.images import AUTOGUIDANCE, DECODER, DIT, STATISTICS, image_config, project_params
from rectok.errors import UserError

if TYPE_CHECKING:
    from rectok.serving.networks import Networks

EVERYWHERE = ("0.0.0.0", "::")  # names for what a user may ask for


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one")] = 8000,
) -> None:
    """Open a page in which to sample classes, vary guidance and seeds, and reconstruct images."""
    listener = listening(host, port)
    import uvicorn

    from rectok.serving import app

    application = app.application(load_networks(), accepted_hosts(host))
    if host not in app.LOOPBACK:
        typer.echo("Everybody who reaches this address can use the page.", err=True)
    name = f"[{host}]" if ":" in host else host
    typer.echo(f"http://{name}:{listener.getsockname()[1]}  (Ctrl-C ends it)")
    uvicorn.Server(uvicorn.Config(application, log_level="warning")).run(sockets=[listener])


def accepted_hosts(host: str) -> tuple[str, ...]:
    """The names under which a page at `host` answers: its own and those of this machine. Any, where it listens everywhere."""
    from rectok.serving.app import LOOPBACK

    name = host.lower()  # as browsers send it
    return ("*",) if host in EVERYWHERE else (*LOOPBACK, f"[{name}]" if ":" in name else name)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises UserError where it cannot."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UserError(
            f"{host}:{port} cannot be listened on ({str(error.strerror).lower()}); choose another --port or --host"
        ) from None


def load_networks() -> "Networks":
    """The project's tokenizer, and its generator if there is one yet. Raises UserError where the tokenizer is missing."""
    from rectok import api
    from rectok.sampling.generator import Places
    from rectok.serving.networks import Networks

    params = project_params()
    device, fp8 = (params.machine.device, params.generation.sampler.fp8) if params else ("auto", False)
    tokenizer = api.Tokenizer.load(DECODER, device=device)
    places = Places(DIT, AUTOGUIDANCE if artifacts.config_file("autoguidance").exists() else None, DECODER, STATISTICS)
    generator = api.Generator.at(places, device, fp8=fp8) if artifacts.config_file("dit").exists() else None
    classes = artifacts.read_json(artifacts.classes_file(), list) if artifacts.classes_file().exists() else []
    if generator is not None and not classes:
        classes = [str(label) for label in range(generator.parts.dit.config.classes)]
    image = image_config(params, tokenizer.config.image_size)
    if params is None:
        return Networks(tokenizer, generator, classes, image)
    rounding, settings = params.reconstruction.rounding, params.generation
    return Networks(tokenizer, generator, classes, image, rounding, settings.sampler, settings.guidance)
