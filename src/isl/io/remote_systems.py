"""File systems behind addresses: which package speaks which protocol, and with which options."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import Any

from isl.core.errors import ConfigError, MissingExtraError
from isl.core.extras import require

EXTRA = "remote"
"""Extra of this package that installs what addresses need."""

_PACKAGES = {
    "http": "aiohttp",
    "https": "aiohttp",
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_CONNECT_S, _SILENT_S = 10, 60


def scheme_of(address: str) -> str:
    """Protocol of an address, in lower case: ``"s3"``."""
    match = _SCHEME.match(address)
    return match[1].lower() if match else ""


def is_http(address: str) -> bool:
    """Whether an address is read by HTTP: without listing, and read-only."""
    return scheme_of(address) in ("http", "https")


def file_system(address: str, *, asynchronous: bool) -> tuple[Any, str]:
    """File system of fsspec for an address, and the address in its terms.

    Parameters
    ----------
    address
        Such as ``"s3://bucket/plate.zarr"``.
    asynchronous
        Whether the coroutines run in an event loop of the caller (that of zarr), not in fsspec's.

    Returns
    -------
    AsyncFileSystem, str
        fsspec keeps one for each protocol and set of options.

    Raises
    ------
    MissingExtraError
        Where the package for the protocol is not installed.
    ConfigError
        Where nobody knows the protocol.
    """
    scheme = scheme_of(address)
    package = _PACKAGES.get(scheme, "fsspec")
    for needed in dict.fromkeys(("fsspec", package)):
        require(needed, EXTRA, f"{address}: reading and writing {scheme}:// addresses")
    core = require("fsspec.core", EXTRA, f"{address}: reading it")
    options = _options(scheme)
    try:
        system, path = core.url_to_fs(address, **_loop_option(scheme, asynchronous), **options)
    except ImportError as error:
        raise MissingExtraError(f"{address}: {scheme}:// needs a package: {error}") from error
    except ValueError as error:
        raise ConfigError(
            f"{address}: no address that can be read ({error}); use http, https, s3, gs, or "
            "another protocol of fsspec"
        ) from error
    if package == "s3fs":
        system.retries = 1  # its client tries again by itself, and `persist` what that leaves
    return (system if system.async_impl else _wrapped(system, asynchronous)), str(path)


def _loop_option(scheme: str, asynchronous: bool) -> dict[str, bool]:
    return {"asynchronous": asynchronous} if scheme in _PACKAGES else {}


def _wrapped(system: Any, asynchronous: bool) -> Any:
    wrapper = require("fsspec.implementations.asyn_wrapper", EXTRA, "this address")
    return wrapper.AsyncFileSystemWrapper(system, asynchronous=asynchronous)


def _options(scheme: str) -> dict[str, Any]:
    """Options of a protocol; those that the user has set for fsspec win."""
    options: dict[str, Any] = {}
    if scheme in ("http", "https"):
        options = _http_options()
    elif scheme in ("s3", "s3a"):
        options = _s3_options()
    elif scheme in ("gs", "gcs"):
        # Without credentials gcsfs itself goes on anonymously.
        options = {"use_listings_cache": False}
    config = require("fsspec.config", EXTRA, f"{scheme}:// addresses")
    return options | dict(config.conf.get(scheme, {}))


def _http_options() -> dict[str, Any]:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENT_S)
    return {"client_kwargs": {"timeout": timeout, "trust_env": True}}


def _s3_options() -> dict[str, Any]:
    return {
        "anon": not _has_s3_credentials(tuple(sorted(_aws_environment().items()))),
        "use_listings_cache": False,
        # zarr has its own concurrency; asking for the size first would double the requests.
        "max_concurrency": 1,
        "config_kwargs": {
            "retries": {"mode": "adaptive", "total_max_attempts": 5},
            "connect_timeout": _CONNECT_S,
            "read_timeout": _SILENT_S,
        },
    }


def _aws_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


@lru_cache(maxsize=8)
def _has_s3_credentials(_environment: tuple[tuple[str, str], ...]) -> bool:
    session = require("botocore.session", EXTRA, "s3:// addresses")
    return session.get_session().get_credentials() is not None
