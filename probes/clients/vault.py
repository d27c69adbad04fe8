"""What the probes of Vault and OpenBao share: where it is, and how it is read.

Plain HTTP does it: hvac would be one more thing to install, and takes as long to import as a look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probes.clients import http
from probes.framework.options import FILE, Option, Url, option
from probes.framework.probe import Context, CriticalError, UnknownError

URL = Url("VAULT_ADDR", "https://vault.example.com:8200", http.split_url)
RIGHT_URL = "is that the right VAULT_ADDR?"


def options() -> list[Option]:
    return [
        option(
            "--url",
            "VAULT_ADDR",
            "Where it is.",
            default="https://127.0.0.1:8200",
            type=http.base_url,
            metavar="URL",
        ),
        option("--namespace", "VAULT_NAMESPACE", "Namespace of the token and what it reads."),
        option("--tls-ca", "VAULT_CACERT", "Certificates to trust.", type=FILE),
        option(
            "--tls-skip-verify/--tls-verify",
            "VAULT_SKIP_VERIFY",
            "Don't check the server's certificate.",
            default=False,
        ),
    ]


def connect(context: Context) -> http.Site:
    context.at(context.options["url"].rstrip("/"))
    return at(context, context.options["url"], http.basic(context))


def at(context: Context, url: str, headers: Mapping[str, str] | None = None) -> http.Site:
    """The server at `url`, of the same cluster."""
    options = context.options
    verify = not options["tls_skip_verify"]
    return http.Site(context, url, headers, cafile=options["tls_ca"], verify=verify)


def get(site: http.Site, path: str, context: Context, token: str) -> http.Answer:
    """GET `path` of the API with the token, in the namespace."""
    headers = {"X-Vault-Token": token, "X-Vault-Request": "true"}
    if namespace := context.options["namespace"]:
        headers["X-Vault-Namespace"] = namespace
    return site.get(f"/v1/{path}", headers=headers)


def errors(answer: http.Answer) -> list[str] | None:
    """What the server itself says that is wrong; None where it was not Vault that answered."""
    try:
        return [str(error) for error in answer.json()["errors"]]
    except (ValueError, TypeError, KeyError):
        return None


def is_invalid(answer: http.Answer) -> bool:
    """Whether it was the token itself that was refused, and not a right that it has not.

    Both are 403. A good token without the right is "1 error occurred: permission denied"; an
    invalid one is "permission denied", or 2 errors.
    """
    words = errors(answer)
    denied = answer.status == 403 and bool(words)
    return denied and not any(error.startswith("1 error occurred") for error in words or [])


def data(answer: http.Answer, path: str) -> dict[str, Any]:
    """The data of an answer. Raises DownError when there are none."""
    try:
        found = answer.json()["data"]
        if isinstance(found, dict):
            return found
    except (ValueError, TypeError, KeyError):
        pass
    raise CriticalError(f"{path} does not answer with data", hint=RIGHT_URL)


def refused(answer: http.Answer, path: str) -> CriticalError | UnknownError:
    """Why `path` did not answer 200, as an error to raise."""
    if is_invalid(answer):
        hint = "check VAULT_TOKEN: it is not valid, or has expired"
        return UnknownError(f"{path} answers {answer.phrase}", hint=hint)
    if answer.status == 403:
        hint = f'its policy needs: path "{path}" {{ capabilities = ["read"] }}'
        return UnknownError(f"{path} answers {answer.phrase}", hint=hint)
    error = http.refused(answer, path, "VAULT_TOKEN", given=True)
    if words := errors(answer):
        error.what += f": {words[0]}"
    return error
