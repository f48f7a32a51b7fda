from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isl.core.axes import VoxelSize
from isl.core.errors import ChannelError
from isl.io.fov import Channel, Fov
from isl.io.plane_files import PlaneFiles
from isl.io.roles import check_fov, choose_roles, find_roles


def field(*names: str, name: str = "f", **modalities: str) -> Fov:
    channels = tuple(Channel(n, 1, np.dtype(np.uint16), modalities.get(n)) for n in names)  # type: ignore[arg-type]
    return Fov(name, Path("data") / name, channels, 1, 4, 4, VoxelSize(), PlaneFiles({}))


def test_guess_says_its_reason():
    roles = choose_roles([field("DAPI_CONFOCAL", "NFH_CONFOCAL", "PHASE_CONTRAST")])
    assert (roles.source, roles.targets) == ("PHASE_CONTRAST", ("DAPI_CONFOCAL", "NFH_CONFOCAL"))
    assert roles.reason == (
        "PHASE_CONTRAST is the only transmitted-light channel; "
        "DAPI_CONFOCAL and NFH_CONFOCAL are fluorescence by name or metadata"
    )


def test_targets_are_the_union_over_the_fields():
    fields = [field("DIC", "DAPI", name="a"), field("GFP", "DIC", name="b")]
    assert choose_roles(fields).targets == ("DAPI", "GFP")


def test_labels_are_never_targets():
    assert choose_roles([field("phase", "mask1", "gfp")]).targets == ("gfp",)


def test_unknown_channel_beside_the_source_is_a_target_and_said_so():
    roles = choose_roles([field("channel1_phase", "channel2_cdc", "mask1")])
    assert roles.targets == ("channel2_cdc",)
    assert "channel2_cdc is taken as fluorescence" in roles.reason


def test_metadata_decides_where_the_name_does_not():
    roles = choose_roles([field("Mono", "X", Mono="brightfield", X="fluorescence")])
    assert (roles.source, roles.targets) == ("Mono", ("X",))


def test_a_single_channel_is_the_source():
    assert choose_roles([field("image")]).source == "image"
    assert choose_roles([field("DIC")]).targets == ()


def test_named_roles_keep_their_order():
    fields = [field("Ch3", "Ch4", "Ch6")]
    roles = choose_roles(fields, "Ch3", ["Ch6", "Ch4"])
    assert (roles.source, roles.targets) == ("Ch3", ("Ch6", "Ch4"))
    assert choose_roles(fields, "Ch3").targets == ("Ch4", "Ch6")
    assert choose_roles(fields, targets=["Ch4", "Ch6"]).source == "Ch3"
    assert choose_roles(fields, "Ch3", []).targets == ()


@pytest.mark.parametrize(
    ("fields", "source", "targets", "match"),
    [
        ([field("Ch3", "Ch4")], None, None, r"--source NAME and --targets.*Ch3 \(unknown\), Ch4"),
        ([field("DIC", "Phase", "GFP")], None, None, r"more than one.*DIC \(dic\), Phase"),
        ([field("DAPI", "GFP")], None, None, "no channel looks like transmitted light"),
        ([field("DIC", "GFP")], "BF", None, r"no field has the source 'BF'.*DIC \(dic\), GFP"),
        ([field("DIC", "GFP")], None, ["RFP"], "no field has the target 'RFP'.*DIC"),
        ([field("DIC", "GFP")], "DIC", ["DIC"], "as source and as target"),
        ([field("DIC", "GFP")], "DIC", ["GFP", "GFP"], "more than once"),
        ([field("DIC", "GFP", "GFP")], None, None, "2 channels named 'GFP'"),
        ([field("DIC", "DIC", "GFP")], "DIC", None, "2 channels named 'DIC'"),
        ([field("DIC", "GFP"), field("GFP", name="b")], None, None, "b lacks the source 'DIC'"),
        ([], None, None, "no fields"),
    ],
)  # fmt: skip
def test_unclear_or_wrong_channels(fields, source, targets, match):
    with pytest.raises(ChannelError, match=match):
        choose_roles(fields, source, targets)


def test_a_field_without_the_source_leaves_the_roles_of_the_others():
    good, bad, double = field("DIC", "GFP"), field("GFP", name="b"), field("DIC", "GFP", "GFP")
    roles = find_roles([good, bad, double])
    assert (roles.source, roles.targets) == ("DIC", ("GFP",))
    check_fov(good, roles)
    with pytest.raises(ChannelError, match="field b lacks the source 'DIC'"):
        check_fov(bad, roles)
    with pytest.raises(ChannelError, match=r"2 channels named 'GFP'.*rename them"):
        check_fov(double, roles)
