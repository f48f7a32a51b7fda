from isl.core.digest import digest_of


def test_it_is_the_beginning_of_the_sha_256_of_all_parts_together():
    assert digest_of([b"abc"]) == digest_of([b"a", b"", b"bc"]) == "ba7816bf8f01cfea"


def test_the_order_counts():
    assert digest_of([b"a", b"b"]) != digest_of([b"b", b"a"])
