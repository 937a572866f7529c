"""Cinder's connections as exports, its exceptions as errors, and a bridge that is configured wrongly; without Cinder."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from blockdrivers.config import load
from blockdrivers.errors import Ambiguous, ConfigurationError, InUse, NotFound, ProtocolError, VendorError
from blockdrivers.integrations.cinderbridge.connections import connector, export
from blockdrivers.integrations.cinderbridge.options import CinderDriverOptions
from blockdrivers.integrations.cinderbridge.refusals import error_of
from blockdrivers.model import Chap, Host, IscsiTarget, Protocol

DOCUMENT = Path(__file__).parents[2] / "docs" / "cinder.md"
IQN = "iqn.2000-01.org.example:array"


def _iscsi(**data):
    return {"driver_volume_type": "iscsi", "data": data}


def test_one_iscsi_path_with_chap():
    told = _iscsi(
        target_portal="192.0.2.1:3260", target_iqn=IQN, target_lun="4", auth_method="CHAP", auth_username="u", auth_password="p"
    )
    made = export("v", "h", told)
    assert (made.lun, made.targets, made.chap) == (4, (IscsiTarget("192.0.2.1:3260", IQN),), Chap("u", "p"))


def test_many_iscsi_paths_go_before_the_single_one():
    portals = ["192.0.2.1:3260", "192.0.2.2:3260"]
    told = _iscsi(
        target_portals=portals, target_iqns=[IQN, IQN], target_luns=[2, 2], target_portal="192.0.2.9:3260", target_iqn="x"
    )
    made = export("v", "h", told)
    assert [target.portal for target in made.targets] == portals
    assert made.lun == 2


def test_fc_in_both_spellings_of_wwpns():
    data = {
        "target_lun": 0,
        "target_wwn": ["5001438012345679", "50:01:43:80:12:34:56:78"],
        "initiator_target_map": {"21000024FF000001": ["50:01:43:80:12:34:56:78"]},
    }
    made = export("v", "h", {"driver_volume_type": "fibre_channel", "data": data})
    assert made.protocol is Protocol.FC
    assert made.wwpns == ("5001438012345678", "5001438012345679")
    assert made.paths == {"21000024ff000001": ("5001438012345678",)}
    single = export("v", "h", {"driver_volume_type": "fibre_channel", "data": data | {"target_wwn": "5001438012345678"}})
    assert single.wwpns == ("5001438012345678",)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"driver_volume_type": "nvmeof", "data": {}}, "'nvmeof'"),
        ({"driver_volume_type": "iscsi"}, "'iscsi'"),
        (_iscsi(target_portal="a:1", target_iqn=IQN), "0 LUN ids"),
        (_iscsi(target_portals=["a:1", "b:1"], target_iqns=[IQN, IQN], target_luns=[1, 2]), "2 LUN ids"),
        (_iscsi(target_portals=["a:1", "b:1"], target_iqns=[IQN], target_luns=[1]), "2 portals and 1 targets"),
    ],
)
def test_what_no_export_can_say_is_refused(told, words):
    with pytest.raises(ProtocolError, match=words):
        export("v", "h", told)


def test_a_connector_names_only_the_initiators_that_there_are():
    told = connector(Host("node", iqn="iqn.x"), "bdhl-node")
    assert (told["host"], told["initiator"], "wwpns" in told) == ("bdhl-node", "iqn.x", False)
    assert connector(Host("node", wwpns=("21000024ff000001",)), "h")["wwpns"] == ["21000024ff000001"]


@pytest.mark.parametrize(
    ("kinds", "error"),
    [
        (["NotRecorded", "Exception"], NotFound),
        (["SnapshotIsBusy", "CinderException", "Exception"], InUse),
        (["ConnectTimeout", "ConnectionError", "Timeout", "Exception"], Ambiguous),
        (["VolumeBackendAPIException", "CinderException", "Exception"], VendorError),
        (["SystemExit", "BaseException"], VendorError),
    ],
)
def test_errors_by_the_most_special_class_that_is_known(kinds, error):
    made = error_of(kinds, "text", array="a", request="create_volume")
    assert type(made) is error
    assert "text" in str(made)


def test_the_documented_configuration_is_one(tmp_path):
    """As docs/cinder.md has it, with files that there are."""
    (conf, password), folder = (tmp_path / "lab.conf", tmp_path / "password"), tmp_path / "upstream"
    conf.write_text("[huawei]\nvolume_backend_name = huawei\n")
    password.write_text("a-secret\n")
    password.chmod(0o600)
    (documented,) = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    places = {
        "/etc/cinder/lab.conf": conf,
        "/opt/cinder/bin/python": sys.executable,
        "/var/lib/blockdrivers/upstream": folder,
        "/etc/blockdrivers/password": password,
    }
    for place, there in places.items():
        assert place in documented
        documented = documented.replace(place, str(there))
    file = tmp_path / "backends.yaml"
    file.write_text(documented)
    options = load(file).backend().options
    assert isinstance(options, CinderDriverOptions)
    assert (options.section, options.records, options.model) == ("huawei", folder, "OceanStor 5500 V5")
    assert {name: secret.get_secret_value() for name, secret in options.overrides.items()} == {"san_password": "a-secret"}
    assert options.extra_specs == {"hw:tier": "fast"}
    assert options.node is not None


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("driver", "NoModule", "driver"),
        ("config", "/no/such/cinder.conf", "is no file"),
        ("python", "/no/such/python", "interpreter"),
    ],
)
def test_a_wrong_option_names_its_line(tmp_path, option, value, words):
    conf = tmp_path / "cinder.conf"
    conf.write_text("[lab]\nvolume_backend_name = lab\n")
    options = {"driver": "a.B", "config": str(conf), option: value}
    lines = "".join(f"      {name}: {text}\n" for name, text in options.items())
    file = tmp_path / "backends.yaml"
    file.write_text(f"backends:\n  b:\n    adapter: cinder-driver\n    options:\n{lines}")
    with pytest.raises(ConfigurationError, match=words) as raised:
        load(file)
    assert "line" in str(raised.value)
