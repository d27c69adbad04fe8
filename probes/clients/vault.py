"""What the probes of Vault and OpenBao share: options, hvac's client, and refusals."""

from typing import Any

from probes.clients import http
from probes.framework.options import Url
from probes.framework.probe import Context, CriticalError, ProbeError, UnknownError

URL = Url("VAULT_ADDR", "https://vault.example.com:8200", http.split_url)
RIGHT_URL = "check VAULT_ADDR"
TYPES = {"--url": http.base_url}


class Server(http.Site):
    """A Vault server, asked by hvac over the session of a Site.

    Each call returns an Answer, whatever its status, and raises CriticalError and TimeoutError.
    """

    def __init__(self, context: Context, url: str, headers: dict[str, str] | None = None) -> None:
        options = context.options
        verify = not options["tls_skip_verify"]
        super().__init__(context, url, headers, cafile=options["tls_ca"], verify=verify)
        self._namespace = options["namespace"]

    def health(self, timeout: float | None = None) -> http.Answer:
        return self.answer(self._client(timeout).sys.read_health_status(method="GET"))

    def leader(self) -> http.Answer:
        return self.answer(self._client().sys.read_leader_status())

    def forward(self) -> http.Answer:
        """Send what only the active node answers; without a token it is refused."""
        return self.answer(self._client().auth.token.renew_self())

    def token(self, token: str) -> http.Answer:
        return self.answer(self._authorised(token).auth.token.lookup_self())

    def transit_key(self, token: str, mount: str, name: str) -> http.Answer:
        transit = self._authorised(token).secrets.transit
        return self.answer(transit.read_key(name, mount_point=mount))

    def kv_metadata(self, token: str, mount: str, path: str) -> http.Answer:
        kv = self._authorised(token).secrets.kv.v2
        return self.answer(kv.read_secret_metadata(path, mount_point=mount))

    def _authorised(self, token: str) -> Any:
        return self._client(token=token, namespace=self._namespace)

    def _client(self, timeout: float | None = None, token: str = "", **options: Any) -> Any:
        import hvac  # here, as it takes as long to import as a check; and it may be missing
        from hvac.adapters import RawAdapter

        return hvac.Client(
            self.url,
            token,  # "", not None, else hvac reads ~/.vault-token
            verify=self.session.verify,
            timeout=timeout,
            allow_redirects=False,
            session=self.session,
            adapter=RawAdapter,
            ignore_exceptions=True,
            **options,
        )


def connect(context: Context) -> Server:
    context.at(context.options["url"].rstrip("/"))
    return Server(context, context.options["url"], http.basic(context))


def errors(answer: http.Answer) -> list[str] | None:
    """The errors that Vault reports; None when the answer is not Vault's."""
    try:
        return [str(error) for error in answer.json()["errors"]]
    except (ValueError, TypeError, KeyError):
        return None


def is_invalid(answer: http.Answer) -> bool:
    """Whether the token itself was refused, and not a permission that it lacks.

    Both are 403. A valid token without the permission is "1 error occurred: permission denied";
    an invalid one is "permission denied", or 2 errors.
    """
    reported = errors(answer) or []
    is_denied = answer.status == 403 and bool(reported)
    return is_denied and not any(error.startswith("1 error occurred") for error in reported)


def data(answer: http.Answer, path: str) -> dict[str, Any]:
    """The data of an answer. Raises CriticalError when there is none."""
    try:
        found = answer.json()["data"]
        if isinstance(found, dict):
            return found
    except (ValueError, TypeError, KeyError):
        pass
    raise CriticalError(f"{path} answers without data", hint=RIGHT_URL)


def refused(answer: http.Answer, path: str) -> ProbeError:
    """The error to raise when `path` did not answer 200."""
    if is_invalid(answer):
        hint = "check VAULT_TOKEN: it is invalid or has expired"
        return UnknownError(f"{path} answers {answer.phrase}", hint=hint)
    if answer.status == 403:
        hint = f'its policy needs: path "{path}" {{ capabilities = ["read"] }}'
        return UnknownError(f"{path} answers {answer.phrase}", hint=hint)
    error = http.refused(answer, path, "VAULT_TOKEN", given=True)
    if reported := errors(answer):
        error.what += f": {reported[0]}"
    elif answer.status == 404:
        error.hint = f"{RIGHT_URL}: it has no path, such as /v1"
    elif answer.status in (502, 503, 504):  # of a load balancer; Vault says more
        error.what += ", which does not come from Vault"
        error.hint = "the load balancer there has no working node: check the nodes behind it"
    return error
