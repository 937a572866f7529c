"""Login, envelope, paths and queries: protocol sheet, sections 1 and 3.1."""

from __future__ import annotations

import json
import re

import pytest

from tests.simulation.conftest import DORADO_V3, V3, V5, V6, request
from vendors.huawei.simulator import codes
from vendors.huawei.simulator.profiles import PROFILES


def test_token_and_cookie_are_both_needed(wire):
    w = wire(V5)
    good = dict(w.headers)
    for name in good:
        w.headers = {key: value for key, value in good.items() if key != name}
        assert w.code("GET", "/system/") == -401
    other = dict(good)
    w.log_in()
    w.headers["cookie"] = other["cookie"]
    assert w.code("GET", "/system/") == -401
    w.headers = good
    assert w.ok("GET", "/system/")["ID"] == w.device


def test_a_session_belongs_to_one_controller(wire):
    w = wire(V5)
    path = f"/deviceManager/rest/{w.device}/system/"
    assert w.array.handle(request("GET", path, headers=w.headers, controller="B")).code == "-401"
    w.log_in("B")
    assert w.array.handle(request("GET", path, headers=w.headers, controller="B")).code == "0"
    w.array.expire_sessions("A")
    assert w.array.handle(request("GET", path, headers=w.headers, controller="B")).code == "0"
    w.array.expire_sessions()
    assert w.array.handle(request("GET", path, headers=w.headers, controller="B")).code == "-401"


def test_a_wrong_password_and_a_logout(wire):
    w = wire(V5)
    refused = w.array.handle(request("POST", "/deviceManager/rest/xx/sessions", {"username": w.array.username, "password": "x"}))
    assert refused.code == "1077949061"
    assert "iBaseToken" not in refused.body.decode()
    assert w.ok("DELETE", "/sessions") == {}
    assert w.code("GET", "/system/") == -401


@pytest.mark.parametrize("path", ["xx/sessions", "XX/Sessions", "sessions"])
def test_login_takes_any_device_id_and_case(wire, path):
    w = wire(V5)
    body = {"username": w.array.username, "password": w.array.password, "scope": 0}
    sent = request("POST", f"/DeviceManager/REST/{path}", body)
    assert w.array.handle(sent).code == "0"
    assert w.array.operation(sent) == "POST sessions"


@pytest.mark.parametrize("model", PROFILES)
def test_every_model_says_what_it_is(wire, model):
    w = wire(model)
    facts, profile = w.ok("GET", "/system/"), PROFILES[model]
    assert (facts["PRODUCTVERSION"], facts["PRODUCTMODE"]) == (profile.version, profile.mode)
    assert (facts["PRODUCTVERSION"] >= "V600R003C00") is profile.v6
    assert ("pointRelease" in facts) is profile.v6
    if profile.dorado and not profile.v6:
        assert re.fullmatch(r"8\d\d", facts["PRODUCTMODE"])
    assert w.ok("GET", "/license/feature")
    assert {item["ID"] for item in w.ok("GET", "/controller")} == {"0A", "0B"}


def test_an_unknown_model_is_refused(wire):
    with pytest.raises(ValueError, match="no such model: 'S2600T'"):
        wire("S2600T")


def test_an_empty_list_has_no_data_key_and_values_are_text(wire):
    w = wire(V5)
    assert "data" not in w.envelope("GET", "/lun?filter=NAME::x")
    w.lun()
    (lun,) = w.ok("GET", "/lun")
    assert {key for key, value in lun.items() if not isinstance(value, str)} == {"TYPE"}
    assert json.loads(lun["HASRSSOBJECT"])["SnapShot"] == "FALSE"
    assert re.fullmatch("[0-9a-f]{32}", lun["WWN"])


def test_an_error_comes_with_http_200_and_a_description(wire):
    envelope = wire(V5).envelope("GET", "/lun/7")
    assert envelope["error"]["code"] == 1077936859
    assert envelope["error"]["description"]


def test_paths_are_folded_but_values_are_not(wire):
    w = wire(V5)
    w.lun("Vol")
    assert w.ok("GET", "/LUN?filter=NAME::Vol")
    assert w.ok("GET", "/Lun?filter=NAME::vol") is None
    assert w.array.operation(request("GET", "/deviceManager/rest/1/LUN", headers={})) == "GET /lun"
    assert w.array.operation(request("DELETE", "/deviceManager/rest/1/LUNGroup/4", headers={})) == "DELETE /lungroup/{id}"
    assert w.array.operation(request("GET", "/deviceManager/rest/1/lun?filter=NAME::a", headers={})) == "GET /lun?filter"


def test_a_colon_in_a_filter_must_be_escaped(wire):
    w = wire(V5)
    w.ok("POST", "/iscsi_initiator", {"ID": "iqn.2001-01.x:a"})
    assert len(w.ok("GET", r"/iscsi_initiator?filter=ID::iqn.2001-01.x\:a")) == 1
    assert w.code("GET", "/iscsi_initiator?filter=ID::iqn.2001-01.x:a") == codes.BAD_PARAMETER
    assert w.code("GET", "/iscsi_initiator?filter=ID=x") == codes.BAD_PARAMETER


@pytest.mark.parametrize(("model", "unpaged"), [(V3, 130), (DORADO_V3, 130), (V6, 100)])
def test_pages_end_before_their_end_and_v6_cuts_at_100(wire, model, unpaged):
    w = wire(model)
    for number in range(130):
        w.lun(f"v{number}")
    assert len(w.ok("GET", "/lun")) == unpaged
    assert len(w.ok("GET", "/lun?range=[0-99]")) == 99
    assert [item["ID"] for item in w.ok("GET", "/lun?range=%5B100-200%5D")] == [str(number) for number in range(100, 130)]
    assert len(w.ok("GET", "/lun?range=[0-8191]")) == 130
    assert w.ok("GET", "/lun?range=[130-230]") is None
    assert w.code("GET", "/lun?range=0-100") == codes.BAD_PARAMETER
    assert w.ok("GET", "/lun/count") == {"COUNT": "130"}
    assert w.ok("GET", "/lun/count?filter=NAME::v7") == {"COUNT": "1"}


def test_only_v6_has_the_newer_base_and_few_resources_there(wire):
    for model, code in ((V5, codes.NOT_SUPPORTED), (V6, 0)):
        w = wire(model)
        given = {"hostId": w.host(), "lunId": w.lun()}
        assert w.code("POST", "/api/v2/mapping", given) == code
        assert w.code("GET", "/api/v2/lun") == codes.NOT_SUPPORTED


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (V6, "/luncopy"),
        (V5, "/clonepair/0"),
        (V5, "/lif"),
        (DORADO_V3, "/SMARTCACHEPARTITION/count"),
        (V6, "/cachepartition"),
        (V5, "/mapping?hostId=0&lunId=0"),
    ],
)
def test_what_a_generation_lacks_is_not_supported(wire, model, path):
    assert wire(model).code("GET", path) == codes.NOT_SUPPORTED


def test_pools_of_all_flash_arrays_lack_fields(wire):
    hybrid, flash, v6 = (wire(model).ok("GET", "/storagepool")[0] for model in (V5, DORADO_V3, V6))
    assert {"DATASPACE", "TIER1CAPACITY"} <= hybrid.keys()
    assert not {"DATASPACE", "TIER1CAPACITY", "TIER2CAPACITY"} & flash.keys()
    assert v6["totalSizeWithoutSnap"] == "0"
    assert {"USERFREECAPACITY", "USERTOTALCAPACITY", "LUNCONFIGEDCAPACITY"} <= hybrid.keys() & flash.keys() & v6.keys()


def test_a_reset_array_is_another_one(wire):
    w = wire(V5)
    lun = w.lun()
    before, wwn = w.device, w.ok("GET", f"/lun/{lun}")["WWN"]
    w.mapped(w.host(), lun)
    assert w.plane.accesses
    w.array.reset()
    assert (w.plane.accesses, w.plane.bytes) == ((), {})
    assert w.code("GET", "/system/") == -401
    w.log_in()
    assert w.device != before
    assert w.ok("GET", f"/lun/{w.lun()}")["WWN"] != wwn


def test_the_dump_holds_no_secret(wire):
    w = wire(V5)
    host = w.host()
    chap = {"USECHAP": "true", "CHAPNAME": "u", "CHAPPASSWORD": "very-secret-12"}
    w.ok("POST", "/iscsi_initiator", {"ID": "iqn.2001-01.x:a", "PARENTTYPE": "21", "PARENTID": host, **chap})
    dump = json.dumps(w.array.state())
    assert "very-secret" not in dump
    assert w.array.password not in dump
    assert "very-secret" not in json.dumps(w.ok("GET", "/iscsi_initiator"))
