"""The object store behind `s3a://…`, reached without the engine."""

from contextlib import suppress
from datetime import datetime
from functools import cache

from pyarrow import fs

from lakehouse.settings import settings

TIMEOUT = 10
"""Seconds that an object store has to answer."""


def is_s3(place: str) -> bool:
    return place.startswith("s3a://")


def store() -> fs.S3FileSystem:
    """The store of this process's settings; its login is AWS's own, from the environment."""
    return _store(settings().s3_endpoint)


@cache
def _store(endpoint: str | None) -> fs.S3FileSystem:
    scheme, _, place = (endpoint or "https://").partition("://")
    return fs.S3FileSystem(
        endpoint_override=place or None, scheme=scheme, connect_timeout=TIMEOUT, request_timeout=TIMEOUT
    )


def remove(folder: str) -> None:
    """Removes what is below a folder of a bucket; where this process may not, it stays."""
    with suppress(OSError):
        store().delete_dir(folder.split("://", 1)[1])


def remove_old(folder: str, before: datetime) -> None:
    """Removes the files below a folder of a bucket that were written before a moment; where this process may not, they stay."""
    below = fs.FileSelector(folder.split("://", 1)[1], allow_not_found=True, recursive=True)
    with suppress(OSError):
        for info in store().get_file_info(below):
            if info.is_file and info.mtime < before:
                store().delete_file(info.path)
