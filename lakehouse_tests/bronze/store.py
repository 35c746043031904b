"""An object store on the loopback: moto's server, which speaks S3."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest
from moto.server import ThreadedMotoServer

LOGIN = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
BUCKET = "landing"


class Store:
    """One bucket of it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._client = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test",
        )  # fmt: skip
        self._client.create_bucket(Bucket=BUCKET)

    def put(self, key: str, text: str) -> None:
        self._client.put_object(Bucket=BUCKET, Key=key, Body=text.encode())


@contextmanager
def running(patch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with an empty bucket, and this process's login to it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in LOGIN.items():
        patch.setenv(name, value)
    reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset, timeout=10).close()  # moto keeps buckets for the life of the process
    try:
        yield Store(f"http://{host}:{port}")
    finally:
        server.stop()
