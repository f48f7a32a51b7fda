from __future__ import annotations

import hashlib

import pytest

from bucket_server import serve
from isl.core.errors import DataError
from isl.io.download_http import HttpClient
from isl.io.download_listing import RemoteFile, is_inside, list_bucket

OBJECTS = {f"set/F,value-{i} & more.png": bytes(i) for i in range(7)}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve({**OBJECTS, "set/": b"", "other/x.png": b"x"}) as served:
        yield served


def listed(server, prefix="set/"):
    with HttpClient() as client:
        return list_bucket(client.read, server.address, prefix)


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize(("page_size", "pages"), [(1, 8), (3, 3), (8, 1)])
def test_every_page_is_read(server, page_size, pages, tokens):
    server.page_size, server.tokens = page_size, tokens
    assert listed(server) == [
        RemoteFile(key, len(body), hashlib.md5(body).hexdigest()) for key, body in OBJECTS.items()
    ]
    assert len(server.gets("")) == pages


def test_a_tag_that_is_no_md5_says_nothing(server):
    server.has_md5 = False
    assert {file.md5 for file in listed(server)} == {None}


def test_a_truncated_page_without_a_marker_goes_on_after_its_last_key():
    page = (
        "<ListBucketResult><IsTruncated>{}</IsTruncated>"
        "<Contents><Key>{}</Key></Contents></ListBucketResult>"
    )
    asked = []

    def read(address, query):
        asked.append(query)
        return page.format("false" if "marker" in query else "true", len(asked)).encode()

    assert [file.key for file in list_bucket(read, "b", "p/")] == ["1", "2"]
    assert asked == [{"prefix": "p/"}, {"prefix": "p/", "marker": "1"}]


def test_a_list_without_end_is_refused(server):
    server.listing = (
        b"<ListBucketResult><IsTruncated>true</IsTruncated><NextMarker>m</NextMarker>"
        b"</ListBucketResult>"
    )
    with pytest.raises(DataError, match="same page"):
        listed(server)


@pytest.mark.parametrize("body", [b"<html>Please log in</html>", b"not xml", b"<a"])
def test_another_page_in_its_place(server, body):
    server.listing = body
    with pytest.raises(DataError, match=r"127.0.0.1.*does not answer with a list.*login"):
        listed(server)


@pytest.mark.parametrize("key", ["set/../../x.png", "/etc/x.png", "set/a\\..\\b.png", "C:/x.png"])
def test_keys_that_lead_out_of_the_folder(server, key):
    server.listing = f"<ListBucketResult><Contents><Key>{key}</Key></Contents></ListBucketResult>"
    server.listing = server.listing.encode()
    with pytest.raises(DataError, match="outside of the folder"):
        listed(server)


def test_names_with_dots_are_harmless():
    assert is_inside("a/..b/c...png")
    assert not is_inside("a/../b.png")
    assert not is_inside("")
