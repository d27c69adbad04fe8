"""Sinks: a real SMTP server (aiosmtpd), and a webhook that keeps what it is sent."""

import asyncio
import ssl
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers.web import WebServer
from tests.support.command import PATIENCE


class MailSink:
    """Keeps what it is sent. `tls`: none, starttls or from the first byte."""

    user, password = "reports", "s3cret-of-mail"

    def __init__(
        self,
        tls: str = "",
        certificate: tuple[str, str] = ("", ""),
        *,
        login: bool = False,
        port: int = 0,
    ) -> None:
        self.messages: list[EmailMessage] = []
        self.envelopes: list[Envelope] = []
        self.encrypted: list[bool] = []
        self.refused: set[str] = set()
        context = None
        if tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*certificate)
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            self._loop.create_server(
                lambda: SMTP(
                    self,
                    loop=self._loop,
                    hostname="127.0.0.1",
                    tls_context=context if tls == "starttls" else None,
                    require_starttls=tls == "starttls",
                    authenticator=self._login,
                    auth_required=login,
                    auth_require_tls=tls == "starttls",
                ),
                "127.0.0.1",
                port,
                ssl=context if tls == "tls" else None,
            )
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    async def _end(self) -> None:
        """Also of what is still connected, as far as the server knows."""
        self._server.close()
        await self._server.wait_closed()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _login(self, *said: Any) -> AuthResult:
        given = said[-1]
        good = isinstance(given, LoginPassword) and given == LoginPassword(
            self.user.encode(), self.password.encode()
        )
        return AuthResult(success=good, handled=False)

    async def handle_RCPT(  # noqa: N802 - its name
        self,
        server: SMTP,  # noqa: ARG002 - its signature
        session: Session,  # noqa: ARG002
        envelope: Envelope,
        address: str,
        rcpt_options: list[str],  # noqa: ARG002
    ) -> str:
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - its name
        self,
        server: SMTP,
        session: Session,  # noqa: ARG002 - its signature
        envelope: Envelope,
    ) -> str:
        assert isinstance(envelope.content, bytes)
        self.envelopes.append(envelope)
        self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        assert server.transport
        self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        return "250 kept"


class Post(NamedTuple):
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes


class Webhook(WebServer):
    """Answers POST with `status` and `body`, and keeps what it was sent."""

    def __init__(self) -> None:
        self.status, self.body = 200, b"ok"
        self.kept: list[Post] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                sink.kept.append(Post(self.path, headers, body))
                self.send_response(sink.status)
                if sink.status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(sink.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
                pass

        super().__init__(Handler)
