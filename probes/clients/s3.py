"""S3 for a probe: boto3's client, whose requests are sent over the connection of a Site.

The deadline, the limit on answers and TLS are those of the Site, and nothing is retried. Neither
the user's AWS configuration nor the metadata service of a cloud is read.
"""

import io
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from probes.clients import http
from probes.framework.probe import Context, UnknownError

LARGEST = 16_000_000  # bytes of an answer that are read: a thousand objects with long names


class S3Error(Exception):
    """The server refuses a call. `code` is S3's, such as NoSuchBucket, or "" if it gave none."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


class Storage(http.Site):
    """An S3 server. Requests are signed when there are keys."""

    def __init__(self, context: Context) -> None:
        options = context.options
        super().__init__(context, options["endpoint"], cafile=options["tls_ca"], cap=LARGEST)
        address = urlsplit(self.url)
        port = address.port or (443 if address.scheme == "https" else 80)
        context.at(address.hostname or "", port)
        self.key: str = options["access_key"] or ""
        self.secret = context.source.secret("S3_SECRET_ACCESS_KEY")
        self.is_signed = bool(self.key and self.secret)
        self._client = _client(self, options["region"]) if options["bucket"] else None
        self.last = http.Answer(0, {}, b"")  # the answer to the last call

    def call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """Call a method of boto3's client.

        Raises S3Error, CriticalError, TimeoutError, and UnknownError for wrong parameters.
        """
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

        try:
            result: Mapping[str, Any] = getattr(self._client, operation)(**parameters)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            # Where the body is not S3's, botocore takes the status for the code.
            raise S3Error(self.last.status, "" if code.isdigit() else code) from None
        except ParamValidationError as error:
            raise UnknownError(" ".join(str(error).split()), where="S3_BUCKET_NAME") from None
        except BotoCoreError:  # the answer cannot be parsed
            raise S3Error(self.last.status, "") from None
        return result

    def send(self, request: Any, **_: object) -> Any:
        """Send a request of botocore's, as its event before-send allows."""
        from botocore.awsrequest import AWSResponse

        prepared = requests.Request(request.method, request.url, dict(request.headers)).prepare()
        prepared.url = request.url  # as it was signed
        prepared.prepare_body(request.body, None)
        response = self.session.send(prepared, allow_redirects=False)
        self.last = self.answer(response)
        return AWSResponse(
            request.url, response.status_code, response.headers, _Raw(self.last.body)
        )


class _Raw(io.BytesIO):
    """The body of an answer as botocore reads it."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()


def _client(storage: Storage, region: str) -> Any:
    import boto3  # here, as it takes half a second to load, and only buckets need it
    import botocore.session
    from botocore import UNSIGNED
    from botocore.config import Config

    fixed = {
        "config_file": os.devnull,
        "credentials_file": os.devnull,
        "profile": None,
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    # The other three fields name these variables in files and in the environment: nowhere.
    core = botocore.session.Session({name: (None, None, fixed[name], None) for name in fixed})
    session = boto3.session.Session(
        storage.key or None, storage.secret or None, region_name=region, botocore_session=core
    )
    config = Config(
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
        signature_version="s3v4" if storage.is_signed else UNSIGNED,
    )
    client = session.client("s3", endpoint_url=storage.url, config=config)
    client.meta.events.register("before-send.s3", storage.send)
    return client
