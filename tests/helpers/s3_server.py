"""A server that speaks S3 on loopback, and a DVC remote on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
from moto.server import ThreadedMotoServer

from tests.helpers.workflow_project import Project

BUCKET = "versions"
LOGIN = {"access_key_id": "name-of-a-key", "secret_access_key": "secret", "region": "us-east-1"}


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of a server with an empty bucket; it holds all in memory."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        keys = {"aws_access_key_id": LOGIN["access_key_id"], "aws_secret_access_key": LOGIN["secret_access_key"]}
        client = boto3.client("s3", endpoint_url=address, region_name=LOGIN["region"], **keys)
        client.create_bucket(Bucket=BUCKET)
        yield address
    finally:
        server.stop()


def add_remote(project: Project, address: str) -> None:
    """Name a server as a project's default remote, as a person does for any S3-compatible one."""
    project.run("dvc", "remote", "add", "--force", "--local", "--default", "store", f"s3://{BUCKET}/pargo")
    for key, value in {"endpointurl": address, **LOGIN}.items():
        project.run("dvc", "remote", "modify", "--local", "store", key, value)
