"""Alerts reach real listeners on loopback, and one that does not answer harms nobody."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

from lakehouse.automation.alerts import channels
from lakehouse.automation.alerts.channels import Alert, ChannelError, name_of, pagerduty_event, send

BROKEN = Alert(
    "broken",
    "silver/orders",
    "silver.orders: a batch is held back: price_positive: expected at most 5 %, found 40 %.",
    ("team:shop",),
    "4f1c",
    "http://127.0.0.1:3000/runs/4f1c",
    "2026-01-31T03:00:00+00:00",
)


@pytest.fixture
def listener() -> Iterator[Any]:
    """An HTTP server that keeps what it is sent: (path, body)."""
    heard: list[tuple[str, dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            heard.append((self.path, body))
            self.send_response(404 if self.path == "/gone" else 200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.heard = heard  # type: ignore[attr-defined]
    yield server
    server.shutdown()
    server.server_close()


def test_webhooks_are_told_in_their_own_words(listener: Any) -> None:
    at = f"127.0.0.1:{listener.server_port}"
    send(f"slack+http://{at}/services/T0/secret", BROKEN)
    send(f"http://{at}/hook?key=1", BROKEN)
    send(f"pagerduty+http://R0UT1NG@{at}/v2/enqueue", BROKEN)
    send(f"pagerduty+http://R0UT1NG@{at}/v2/enqueue", replace(BROKEN, status="recovered", text="It works."))
    (slack, plain, trigger, resolve) = listener.heard
    assert slack[0] == "/services/T0/secret"
    assert slack[1] == {
        "text": f"*Broken: silver/orders*\n{BROKEN.text}\nOwner: team:shop\nRun: http://127.0.0.1:3000/runs/4f1c"
    }
    assert plain[0] == "/hook?key=1"
    assert plain[1]["status"] == "broken" and plain[1]["owners"] == ["team:shop"] and plain[1]["url"] == BROKEN.url
    assert (trigger[1]["event_action"], resolve[1]["event_action"]) == ("trigger", "resolve")
    assert trigger[1]["routing_key"] == "R0UT1NG"
    assert trigger[1]["dedup_key"] == resolve[1]["dedup_key"] == "lakehouse silver/orders"
    assert trigger[1]["payload"]["severity"] == "error"
    assert "expected at most 5 %, found 40 %" in trigger[1]["payload"]["summary"]
    assert trigger[1]["links"] == [{"href": BROKEN.url, "text": "The run"}]
    assert pagerduty_event(replace(BROKEN, status="notice"), "k")["payload"]["severity"] == "info"  # type: ignore[index]


def test_mail_arrives() -> None:
    mails: list[Envelope] = []

    class Keep:
        async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
            mails.append(envelope)
            return "250 OK"

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(Keep(), hostname="127.0.0.1", port=port)
    server.start()
    try:
        send(f"smtp://127.0.0.1:{port}/?from=lakehouse@example.org&to=oncall@example.org&to=shop@example.org", BROKEN)
    finally:
        server.stop()
    (mail,) = mails
    assert mail.rcpt_tos == ["oncall@example.org", "shop@example.org"]
    content = mail.content
    assert isinstance(content, bytes)
    message = message_from_bytes(content, policy=default)
    assert message["Subject"] == "[lakehouse] Broken: silver/orders"
    assert message.get_content().splitlines() == BROKEN.body.splitlines()


def test_one_that_refuses_hangs_or_is_not_there_is_an_error_without_secrets(
    listener: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "TIMEOUT_SECONDS", 0.5)
    with pytest.raises(ChannelError, match="answered 404"):
        send(f"http://127.0.0.1:{listener.server_port}/gone", BROKEN)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        began = time.monotonic()
        for channel in (
            f"slack+http://user:secret@127.0.0.1:{port}/secret",
            f"smtp://u:secret@127.0.0.1:{port}/?from=a@b&to=c@d",
        ):
            with pytest.raises(ChannelError, match="did not take it") as told:
                send(channel, BROKEN)
            assert "secret" not in str(told.value)
        assert time.monotonic() - began < 30, "it would wait for ever"
    with pytest.raises(ChannelError, match="did not take it"):
        send(f"http://127.0.0.1:{port}/", BROKEN)


def test_one_that_answers_a_letter_at_a_time_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "IN_ALL_SECONDS", 1)
    done = threading.Event()
    with socket.socket() as slow:
        slow.bind(("127.0.0.1", 0))
        slow.listen()

        def trickle() -> None:
            connection, _ = slow.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not done.wait(0.1):
                    connection.sendall(b".")

        threading.Thread(target=trickle, daemon=True).start()
        with pytest.raises(ChannelError, match="did not take it: TimeoutError"):
            send(f"http://127.0.0.1:{slow.getsockname()[1]}/", BROKEN)
        done.set()


@pytest.mark.parametrize(
    ("channel", "words"),
    [
        ("slack://hooks.slack.com/x", "`slack://…` is no channel. Known schemes: http, https, slack"),
        ("hooks.slack.com/secret", "is no channel"),
        ("https://127.0.0.1:abc/secret", "a channel of 127.0.0.1: Port could not be cast"),
        ("smtp://mail.example.org/?to=a@b", "lacks `\\?from=…&to=…`"),
    ],
)
def test_a_channel_that_cannot_be_understood_says_so(channel: str, words: str) -> None:
    with pytest.raises(ChannelError, match=words) as told:
        send(channel, BROKEN)
    assert "secret" not in str(told.value)


def test_what_is_secret_of_a_channel_is_never_said() -> None:
    assert name_of("pagerduty://R0UT1NG") == "pagerduty://…"
    assert name_of("slack+https://hooks.slack.com/services/T0/secret") == "slack+https://hooks.slack.com"
    assert name_of("smtps://me:secret@mail.example.org:465/?from=a@b&to=c@d") == "smtps://mail.example.org:465"
