import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rectok.alerts import channels
from rectok.alerts.alert_config import AlertConfig, MailConfig
from rectok.alerts.channels import Alert, send
from rectok.errors import UserError
from rectok.params import parse, preset_text
from tests.alerts.servers import mail_server, webhook

ALERT = Alert(
    "failed", "2026-01-31", "rectok: the nightly run of 2026-01-31 failed", "gfid ≥ limit", "http://here/runs/1"
)
NOWHERE = MailConfig(host="", port=25, security="none", sender="", to=(), user="", password="")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "FIRST_PAUSE", 0.0)


def hooked(monkeypatch: pytest.MonkeyPatch, url: str, mail: MailConfig = NOWHERE) -> AlertConfig:
    monkeypatch.setenv("HOOK", url)
    return AlertConfig(ui="", webhook="HOOK", mail=mail)


def mailing(port: int, **changes: Any) -> MailConfig:
    settings = {"host": "127.0.0.1", "port": port, "security": "none", "sender": "rectok@here.example"}
    login = {"to": ("a@there.example", "b@there.example"), "user": "", "password": ""}
    return MailConfig.model_validate(settings | login | changes)


def only(mail: MailConfig) -> AlertConfig:
    return AlertConfig(ui="", webhook="", mail=mail)


def test_presets_send_nothing_without_a_channel() -> None:
    config = parse(preset_text("digits"), "digits").nightly.alert
    assert config.silent and send(config, ALERT) == []


def test_a_webhook_gets_json_whose_text_says_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook() as hook:
        assert send(hooked(monkeypatch, hook.url), ALERT) == ["webhook"]
    [record] = hook.received
    assert record["text"] == f"{ALERT.title}\ngfid ≥ limit\n\nhttp://here/runs/1"
    assert (record["kind"], record["date"], record["link"]) == ("failed", "2026-01-31", "http://here/runs/1")
    assert hook.kinds == ["application/json; charset=utf-8"]


def test_a_webhook_that_is_busy_is_tried_again_and_one_that_refuses_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook() as hook:
        config = hooked(monkeypatch, hook.url)
        hook.answers = [503, 429]
        assert send(config, ALERT) == ["webhook"]
        hook.answers = [503, 503, 503]
        with pytest.raises(UserError, match="not delivered by webhook: the server answered 503") as caught:
            send(config, ALERT)
        assert "secret-token" not in str(caught.value)
        hook.answers = [404]
        with pytest.raises(UserError, match="404"):
            send(config, ALERT)
        assert len(hook.received) == 1 and not hook.answers
    with pytest.raises(UserError, match="cannot be reached"):
        send(config, ALERT)


@pytest.mark.parametrize("code", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_is_not_followed_and_counts_as_not_delivered(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    with webhook() as hook:
        hook.answers = [code]
        with pytest.raises(
            UserError, match=rf"by webhook: the server answered {code} .*; its URL must be the one that takes"
        ):
            send(hooked(monkeypatch, hook.url), ALERT)
        assert hook.received == []


@pytest.mark.parametrize("code", [301, 404, 418, 503, 599])
def test_no_message_repeats_the_token_though_the_server_echoes_the_path(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    with webhook() as hook:
        hook.answers, hook.echoes = [code] * channels.ATTEMPTS, True
        with pytest.raises(UserError, match=f"by webhook: the server answered {code}") as caught:
            send(hooked(monkeypatch, hook.url), ALERT)
        assert "secret-token" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://[::1/secret-token", "http://127.0.0.1:port/secret-token", "http://127.0.0.1/a b/secret-token"]
)
def test_a_url_that_is_none_is_said_and_not_repeated(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    with pytest.raises(UserError, match="by webhook: its URL is not valid") as caught:
        send(hooked(monkeypatch, url), ALERT)
    assert "secret-token" not in str(caught.value)


def test_an_answer_that_is_no_http_is_a_failure_of_the_webhook_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as first, mail_server() as box:  # a mail server greets first
        config = hooked(monkeypatch, f"http://127.0.0.1:{first.port}/", mailing(box.port))
        with pytest.raises(UserError, match="by webhook: the server's answer is not HTTP"):
            send(config, ALERT)
    assert len(box.received) == 1


def test_mail_reaches_everyone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_USER", "rectok")
    monkeypatch.setenv("MAIL_PASSWORD", "secret")
    with mail_server("secret") as box:
        assert send(only(mailing(box.port, user="MAIL_USER", password="MAIL_PASSWORD")), ALERT) == ["e-mail"]
        monkeypatch.setenv("MAIL_PASSWORD", "wrong")
        with pytest.raises(UserError, match="e-mail: the server answered 535"):
            send(only(mailing(box.port, user="MAIL_USER", password="MAIL_PASSWORD")), ALERT)
    [message] = box.received
    assert message["Subject"] == ALERT.title
    assert (message["From"], message["To"]) == ("rectok@here.example", "a@there.example, b@there.example")
    body = message.get_payload(decode=True)
    assert isinstance(body, bytes) and body.decode().splitlines() == ["gfid ≥ limit", "", "http://here/runs/1"]
    assert box.users[0] == "rectok"


def test_a_mail_server_that_is_busy_is_tried_again_and_one_that_refuses_is_not() -> None:
    with mail_server() as box:
        box.answers = ["451 later", "451 later"]
        assert send(only(mailing(box.port)), ALERT) == ["e-mail"]
        box.answers = ["554 never"]
        with pytest.raises(UserError, match="the server answered 554 never"):
            send(only(mailing(box.port)), ALERT)
        with pytest.raises(UserError, match=r"nobody@there\.example: 550 no such user"):
            send(only(mailing(box.port, to=("nobody@there.example",))), ALERT)
        with pytest.raises(UserError, match="does not offer"):
            send(only(mailing(box.port, security="starttls")), ALERT)
        assert len(box.received) == 1
    with pytest.raises(UserError, match=r"e-mail: .*refused"):
        send(only(mailing(box.port)), ALERT)


def test_starttls_wants_a_certificate_that_it_can_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with mail_server(tls_context=context, require_starttls=True) as box:
        with pytest.raises(UserError, match="CERTIFICATE_VERIFY_FAILED"):
            send(only(mailing(box.port, security="starttls")), ALERT)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert send(only(mailing(box.port, security="starttls")), ALERT) == ["e-mail"]
    assert len(box.received) == 1


def test_a_channel_that_fails_does_not_stop_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as box:
        config = AlertConfig(ui="", webhook="NO_SUCH_VARIABLE", mail=mailing(box.port))
        monkeypatch.delenv("NO_SUCH_VARIABLE", raising=False)
        with pytest.raises(
            UserError, match=r"webhook: nightly\.alert\.webhook names .* NO_SUCH_VARIABLE, which is not"
        ):
            send(config, ALERT)
    assert len(box.received) == 1


@pytest.mark.parametrize(
    "before, after, message",
    [
        ('webhook: ""', 'webhook: "https://hooks.example/token"', "nightly.alert.webhook must be the name"),
        ('password: ""', 'password: "p4ss word"', "nightly.alert.mail.password must be the name"),
        ('host: ""', 'host: "mail.example"', "nightly.alert.mail.host is set, so sender and to"),
    ],
)
def test_a_secret_in_params_is_refused_and_not_repeated(before: str, after: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(preset_text("digits").replace(before, after), "params.yaml")
    assert message in str(caught.value)
    assert "token" not in str(caught.value) and "p4ss" not in str(caught.value)
