"""The simulated VSP's answers: both forms of URLs, error objects with the documented codes, and no request that it cannot answer."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.simulation.family import Request, Response
from vendors.hitachi.simulator import build
from vendors.hitachi.simulator.array import Vsp

WAITING = {"response-max-wait": "5", "response-job-status": "Completed;"}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70000),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.sampled_from(
        ["CL1-A", "CL1-B", "1G", "0", "pool_a", "LINUX/IRIX", "iqn.2001-01.org.example:x", "210000e08b1c2d3e", "true"]
    ),
    st.lists(st.integers(0, 5), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
IDS = st.sampled_from(
    ["0", "1", "1024", "99999", "x", "CL1-A,1", "CL1-B,0", "CL1-A,1,5", "0,3", "g", "a,b,c,d", ",", "CL9-Z,-1", "1,2,INI,u"]
)
ATTRIBUTES = [
    "poolId",
    "ldevId",
    "blockCapacity",
    "byteFormatCapacity",
    "label",
    "isParallelExecutionEnabled",
    "pvolLdevId",
    "svolLdevId",
    "snapshotGroupName",
    "snapshotPoolId",
    "muNumber",
    "autoSplit",
    "isClone",
    "canCascade",
    "isConsistencyGroup",
    "copyGroupName",
    "copyPairName",
    "isNewGroupCreation",
    "copyMode",
    "portId",
    "portIds",
    "hostGroupNumber",
    "hostGroupName",
    "hostMode",
    "hostModeOptions",
    "iscsiName",
    "hostWwn",
    "lun",
    "chapUserName",
    "wayOfChapUser",
    "chapPassword",
    "authenticationMode",
    "parameters",
    "dataReductionMode",
]


def ask(array: Vsp, method: str, path: str, body: object = None, query: dict | None = None, **headers: str) -> Response:
    basic = base64.b64encode(f"{array.username}:{array.password}".encode()).decode()
    raw = b"" if body is None else json.dumps(body).encode()
    return array.handle(Request(method, path, query or {}, {"authorization": f"Basic {basic}", **headers}, raw))


def long_form(array: Vsp, rest: str) -> str:
    return f"/ConfigurationManager/v1/objects/storages/{array.storage_id}/{rest}"


def job(array: Vsp, method: str, rest: str, body: object = None) -> dict:
    answer = ask(array, method, long_form(array, rest), body, **WAITING)
    assert answer.status == 202, answer.body
    return json.loads(answer.body)


def failure(array: Vsp, method: str, rest: str, body: object = None) -> tuple[str, str]:
    """Return the SSB pair, or symbol, of a job that fails, and its message id."""
    found = job(array, method, rest, body)
    assert (found["status"], found["state"]) == ("Completed", "Failed")
    code = found["error"].get("errorCode", {})
    return "-".join(code.values()), found["error"]["messageId"]


def test_only_embedded_servers_take_the_short_form():
    for model, status in (("VSP G370", 200), ("VSP G200", 404)):
        array = build(model)
        assert ask(array, "GET", "/ConfigurationManager/v1/objects/pools").status == status
        assert ask(array, "GET", long_form(array, "pools")).status == 200
        assert ask(array, "GET", "/ConfigurationManager/v1/objects/storages/886000000001/pools").status == 404


def test_what_needs_no_login_and_what_does():
    array = build("VSP F700")
    open_to_all = ("configuration/version", "v1/objects/storages")
    for path in open_to_all:
        assert array.handle(Request("GET", f"/ConfigurationManager/{path}")).status == 200
    refused = array.handle(Request("GET", long_form(array, "ldevs")))
    assert (refused.status, refused.headers) == (401, (("WWW-Authenticate", 'Session realm="Block storage"'),))
    wrong = array.handle(Request("POST", long_form(array, "sessions"), headers={"authorization": "Basic eDp5"}))
    assert (wrong.status, wrong.headers[0][1]) == (401, 'Basic realm="Block storage"')


def test_a_session_is_good_at_its_own_controller_only():
    array = build("VSP G370")
    token = json.loads(ask(array, "POST", long_form(array, "sessions")).body)["token"]
    request = Request("GET", long_form(array, "pools"), headers={"authorization": f"Session {token}"}, controller="B")
    assert array.handle(request).status == 401


def test_free_ids_are_listed_as_such_and_ids_beyond_the_machine_are_not():
    array = build("VSP G200")
    made = job(array, "POST", "ldevs", {"poolId": 0, "byteFormatCapacity": "10G", "startLdevId": 100, "endLdevId": 200})
    assert made["affectedResources"] == [long_form(array, "ldevs/100")]
    listed = json.loads(ask(array, "GET", long_form(array, "ldevs"), query={"headLdevId": "99", "count": "3"}).body)["data"]
    assert [item["emulationType"] for item in listed] == ["NOT DEFINED", "OPEN-V-CVS", "NOT DEFINED"]
    assert listed[1]["byteFormatCapacity"] == "10.00 G"
    assert json.loads(ask(array, "GET", long_form(array, "ldevs"), query={"headLdevId": "60000"}).body) == {"data": []}
    assert ask(array, "GET", long_form(array, "ldevs/60000")).status == 400


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "ldevs", {"ldevId": 0, "poolId": 0, "byteFormatCapacity": "1G"}, ("2E22-0001", "KART30000-E")),
        (
            "POST",
            "ldevs",
            {"startLdevId": 0, "endLdevId": 0, "poolId": 0, "byteFormatCapacity": "1G"},
            ("2E11-2209", "KART30000-E"),
        ),
        ("POST", "host-groups", {"portId": "CL1-A", "hostGroupName": "1A-G00"}, ("B956-3173", "KART30000-E")),
        ("POST", "luns", {"portId": "CL1-A", "hostGroupNumber": 0, "ldevId": 0}, ("B958-015A", "KART30000-E")),
        ("DELETE", "luns/CL1-A,0,9", None, ("EX_ENOOBJ", "KART30013-E")),
        ("DELETE", "snapshots/0,3", None, ("EX_ENOOBJ", "KART30013-E")),
        ("POST", "luns", {"portId": "CL1-A", "hostGroupNumber": 9, "ldevId": 0}, ("", "KART30013-E")),
        ("POST", "services", None, None),
    ],
)
def test_refusals_bear_the_documented_codes(method, path, body, expected):
    array = build("VSP G370")
    if expected is None:
        token = json.loads(ask(array, "POST", long_form(array, "sessions")).body)["token"]
        lock = f"/ConfigurationManager/v1/{array.storage_id}/services/resource-group-service/actions/lock/invoke"
        ask(array, "PUT", lock, {"parameters": {"waitTime": 1}}, authorization=f"Session {token}", **WAITING)
        method, path, body, expected = "PATCH", "ldevs/0", {"label": "x"}, ("2E11-2205", "KART30000-E")
    assert failure(array, method, path, body) == expected


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("ldevs", {"poolId": 0, "byteFormatCapacity": "1G", "label": "x"}, "KART40038-E"),
        ("ldevs", {"poolId": 0, "byteFormatCapacity": "1G", "ldevId": 5, "isParallelExecutionEnabled": True}, "KART40046-E"),
        ("ldevs", {"poolId": 0, "byteFormatCapacity": "1G", "ldevId": 70000}, "KART40044-E"),
        ("snapshots/0,3/actions/restore/invoke", {}, "KART40046-E"),
        ("snapshots/0,3/actions/split/invoke", {"parameters": {"operationType": "x"}}, "KART40038-E"),
        ("host-wwns", {"portId": "CL1-A", "hostGroupNumber": 0, "hostWwn": "2" * 16, "wwnNickname": "n"}, "KART40038-E"),
    ],
)
def test_malformed_requests_are_refused_by_the_server(path, body, message):
    array = build("VSP G370")
    answer = ask(array, "POST", long_form(array, path), body)
    assert answer.status == 400
    assert json.loads(answer.body)["messageId"] == message
    assert json.loads(answer.body)["errorSource"]


def test_put_means_what_patch_and_post_mean():
    array = build("VSP G370")
    job(array, "PUT", "ldevs/0", {"label": "renamed"})
    grown = job(array, "PUT", "ldevs/0/actions/expand/invoke", {"parameters": {"additionalByteFormatCapacity": "1G"}})
    assert grown["state"] == "Succeeded"
    assert json.loads(ask(array, "GET", long_form(array, "ldevs/0")).body)["label"] == "renamed"


def test_a_job_goes_through_its_states_and_is_known_to_its_server_only():
    now = [0.0]
    array = build("VSP G370", job_seconds=10.0, clock=lambda: now[0])
    begun = json.loads(ask(array, "PATCH", long_form(array, "ldevs/0"), {"label": "x"}).body)
    path = long_form(array, f"jobs/{begun['jobId']}")
    seen = []
    for now[0] in (0.0, 6.0, 10.0):
        found = json.loads(ask(array, "GET", path).body)
        seen.append((found["status"], found["state"]))
    assert seen == [("Initializing", "Queued"), ("Running", "Started"), ("Completed", "Succeeded")]
    basic = base64.b64encode(f"{array.username}:{array.password}".encode()).decode()
    assert array.handle(Request("GET", path, headers={"authorization": f"Basic {basic}"}, controller="B")).status == 404


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_request_gets_an_answer(data):
    array = build("VSP G370", job_seconds=0.0, settle_seconds=0.0, copy_seconds=0.0)
    routes = sorted(array._changes) + sorted(("GET", resource) for resource in array._reads)
    for _ in range(8):
        method, resource = data.draw(st.sampled_from(routes))
        path = resource.replace("{id}", data.draw(IDS)) if "{id}" in resource else resource
        given_ = data.draw(st.dictionaries(st.sampled_from(ATTRIBUTES), VALUES, max_size=6))
        query = {key: str(value) for key, value in given_.items()} if method == "GET" else {}
        answer = ask(array, method, long_form(array, path), given_ if method != "GET" else None, query, **WAITING)
        assert answer.status in {200, 202, 400, 404, 405, 412}
        if answer.body:
            json.loads(answer.body)
