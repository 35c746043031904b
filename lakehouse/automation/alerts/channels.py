"""Where alerts go: each channel is a URL, and its scheme says how it is spoken to."""

import http.client
import json
import smtplib
import ssl
import urllib.error
import urllib.request
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from threading import Thread
from typing import Literal
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

TIMEOUT_SECONDS = 10
"""One that does not answer must not keep the others waiting, nor the sensor."""
IN_ALL_SECONDS = 15
"""Nor must one that answers a letter at a time, or whose name takes a minute to resolve."""
_PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
Status = Literal["broken", "warning", "recovered", "notice"]

_TITLES: dict[Status, str] = {
    "broken": "Broken",
    "warning": "Warning",
    "recovered": "Works again",
    "notice": "Done",
}


@dataclass(frozen=True)
class Alert:
    """One message to people. `key` names what it is about: a recovery has the key of what broke."""

    status: Status
    key: str
    text: str
    owners: tuple[str, ...] = ()
    run_id: str = ""
    url: str = ""
    at: str = ""

    @property
    def title(self) -> str:
        return f"{_TITLES[self.status]}: {self.key}"

    @property
    def body(self) -> str:
        lines = [
            self.text,
            f"Owner: {', '.join(self.owners)}" if self.owners else "",
            f"Run: {self.url}" if self.url else "",
        ]
        return "\n".join(line for line in lines if line)


class ChannelError(Exception):
    """A channel that cannot be understood, or did not take an alert. Says its kind and host, never its secrets."""


def name_of(channel: str) -> str:
    """A channel without what is secret of it."""
    parts = _parts(channel)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{'…' if parts.scheme == 'pagerduty' else f'{parts.hostname}{port}'}"


def send(channel: str, alert: Alert) -> None:
    """Says an alert to a channel:

    - `slack+https://…`: a Slack-compatible incoming webhook, `{"text": …}`
    - `https://…` (or `http`): the alert as JSON
    - `pagerduty://ROUTING_KEY`: events API v2; deduplicated and resolved by the alert's key
    - `smtp://user:password@host:port/?from=…&to=…`: mail (TLS where the server offers it); `smtps://` for TLS from the start

    Raises ChannelError where it was not taken. Not idempotent: a channel that took it and failed to say so gets it twice.
    """
    parts = _parts(channel)
    said: Future[None] = Future()

    def say() -> None:
        try:
            _say(channel, parts, alert)
            said.set_result(None)
        except BaseException as problem:
            said.set_exception(problem)

    Thread(target=say, daemon=True).start()
    try:
        said.result(timeout=IN_ALL_SECONDS)
    except urllib.error.HTTPError as problem:
        raise ChannelError(f"{name_of(channel)} answered {problem.code} {problem.reason}") from None
    except (OSError, http.client.HTTPException, smtplib.SMTPException) as problem:
        reason = problem.reason if isinstance(problem, urllib.error.URLError) else problem
        raise ChannelError(f"{name_of(channel)} did not take it: {str(reason) or type(problem).__name__}") from None


def _say(channel: str, parts: SplitResult, alert: Alert) -> None:
    if parts.scheme.startswith("smtp"):
        _mail(parts, alert)
    elif parts.scheme == "pagerduty":
        _post(_PAGERDUTY, pagerduty_event(alert, parts.netloc))
    elif parts.scheme.startswith("pagerduty+"):  # a proxy of it
        _post(_address(parts), pagerduty_event(alert, unquote(parts.username or "")))
    elif parts.scheme.startswith("slack+"):
        _post(_address(parts), {"text": f"*{alert.title}*\n{alert.body}"})
    else:
        _post(channel, asdict(alert) | {"title": alert.title})


def pagerduty_event(alert: Alert, routing_key: str) -> dict[str, object]:
    """The body of an event, as https://developer.pagerduty.com/docs/events-api-v2 asks for it."""
    if alert.status == "notice":
        severity, action = "info", "trigger"
    else:
        severity = "warning" if alert.status == "warning" else "error"
        action = "resolve" if alert.status == "recovered" else "trigger"
    details = {"text": alert.body, "owners": list(alert.owners), "run_id": alert.run_id}
    return {
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": f"lakehouse {alert.key}",
        "payload": {
            "summary": f"{alert.title}. {alert.text}"[:1024],
            "source": "lakehouse",
            "severity": severity,
            "component": alert.key,
            "custom_details": details,
        },
        "links": [{"href": alert.url, "text": "The run"}] if alert.url else [],
    }


def _parts(channel: str) -> SplitResult:
    parts = urlsplit(channel)
    known = (
        "http",
        "https",
        "slack+http",
        "slack+https",
        "pagerduty",
        "pagerduty+http",
        "pagerduty+https",
        "smtp",
        "smtps",
    )
    try:
        _ = parts.port
    except ValueError as problem:
        raise ChannelError(f"LAKEHOUSE_ALERTS: a channel of {parts.hostname}: {problem}") from None
    if parts.scheme not in known or not parts.netloc:
        raise ChannelError(f"LAKEHOUSE_ALERTS: `{parts.scheme}://…` is no channel. Known schemes: {', '.join(known)}.")
    query = parse_qs(parts.query)
    if parts.scheme.startswith("smtp") and not (query.get("to") and query.get("from")):
        raise ChannelError(f"LAKEHOUSE_ALERTS: {parts.scheme}://{parts.hostname} lacks `?from=…&to=…`.")
    return parts


def _address(parts: SplitResult) -> str:
    """The URL without the kind in its scheme, and without the name in front of its host."""
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(scheme=parts.scheme.rpartition("+")[2], netloc=place).geturl()


def _post(url: str, body: dict[str, object]) -> None:
    # The scheme is one of those that `_parts` knows, so http or https.
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        answer.read(1)


def _mail(parts: SplitResult, alert: Alert) -> None:
    query = parse_qs(parts.query)
    message = EmailMessage()
    message["Subject"] = f"[lakehouse] {alert.title}"
    message["From"], message["To"] = query["from"][0], ", ".join(query["to"])
    message.set_content(alert.body)
    host, context = parts.hostname or "", ssl.create_default_context()
    with (
        smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT_SECONDS, context=context)
        if parts.scheme == "smtps"
        else smtplib.SMTP(host, parts.port or 25, timeout=TIMEOUT_SECONDS)
    ) as server:
        server.ehlo()
        if parts.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(message)
