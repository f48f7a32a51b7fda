from __future__ import annotations

from urllib.parse import unquote

import pytest

from isl.core.errors import ConfigError
from isl.io.download_sets import SETS, bucket_address, file_address, find_set
from isl.io.published_names import parse_published_name

NAME = (
    "Finkbeiner/kevan_0_8/lab-Finkbeiner,condition-kevan_0_8,acquisition_date,year-2015,month-9,"
    "day-28,well-A4,z_depth-3,channel,value-PHASE_CONTRAST,is_mask-false,kind,value-ORIGINAL.png"
)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("isl2018-sample", "data_sample.zip"),
        ("isl2018-checkpoint", "checkpoints.zip"),
        ("isl2018-test", "paper_data/test_single_channel_images/"),
        ("isl2018-train", "paper_data/train_single_channel_images/"),
    ],
)
def test_where_the_sets_lie(name, key):
    assert SETS[name].key == key
    assert SETS[name].is_archive == key.endswith(".zip")
    assert bucket_address(None) == "https://storage.googleapis.com/in-silico-labeling"


def test_addresses_and_files_of_published_names():
    published = SETS["isl2018-test"]
    address = file_address(bucket_address(None), published.key + NAME)
    assert "," not in address
    assert unquote(address).endswith(f"/in-silico-labeling/{published.key}{NAME}")
    assert published.file_name(published.key + NAME) == NAME
    assert parse_published_name(NAME.rpartition("/")[2]).channel == "PHASE_CONTRAST"


def test_an_unknown_set_lists_the_known_ones():
    with pytest.raises(ConfigError) as raised:
        find_set("isl2018")
    for name in SETS:
        assert name in str(raised.value)
    assert "2 GB; CC BY 4.0" in str(raised.value)


@pytest.mark.parametrize("mirror", ["ftp://example.org/x", "example.org/x", "https://", ""])
def test_a_mirror_is_an_address(mirror):
    with pytest.raises(ConfigError, match="is no address"):
        bucket_address(mirror)


def test_a_mirror_may_end_in_a_slash():
    assert bucket_address("http://localhost:80/b/") == "http://localhost:80/b"
