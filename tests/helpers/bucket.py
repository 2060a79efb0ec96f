"""A bucket of moto's server, which enforces conditional PUTs."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import boto3

KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


@contextmanager
def server():
    """The environment in which S3 is this server, and a client of it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(port)
        url = f"http://127.0.0.1:{port}"
        environment = KEYS | {"AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true"}
        client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="id",
            aws_secret_access_key="secret",
        )  # fmt: skip
        yield environment, client
    finally:
        process.terminate()
        process.wait()


def _wait(port):
    for _ in range(600):
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("moto's server doesn't start")


def objects(client, bucket, prefix=""):
    """All keys with their contents."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
