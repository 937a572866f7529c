"""Whatever is sent, the array answers with its envelope and goes on."""

from __future__ import annotations

import itertools

import pytest

from tests.simulation.conftest import DORADO_V3, V5, V6

FIELDS = [
    "ID",
    "NAME",
    "PARENTID",
    "PARENTTYPE",
    "CAPACITY",
    "ALLOCTYPE",
    "CLONESOURCEID",
    "SNAPSHOTLIST",
    "USERCAPACITY",
    "ROLLBACKSPEED",
    "SOURCELUN",
    "TARGETLUN",
    "COPYSPEED",
    "sourceID",
    "targetID",
    "copyRate",
    "copyAction",
    "isDeleteDstLun",
    "TARGETLUNID",
    "ASSOCIATEOBJTYPE",
    "ASSOCIATEOBJID",
    "ASSOCIATEMETADATA",
    "LUNLIST",
    "MAXIOPS",
    "IOTYPE",
    "SCHEDULEPOLICY",
    "ASSOCIATEOBJIDLIST",
    "USECHAP",
    "CHAPNAME",
    "hostId",
    "lunId",
    "filter",
    "range",
    "TYPE",
    "SPLITACTION",
    "ENABLESTATUS",
    "DESCRIPTION",
    "isNeedSynchronize",
    "hostLunIdStart",
    "OPERATIONSYSTEM",
    "IOPRIORITY",
]
VALUES = (None, "", "x", "0", 0, -1, True, [], ["0"], [{}], [[]], {}, {"a": 1}, 1.5, "\u0000", "²", 10**30)


@pytest.mark.parametrize("model", [V5, DORADO_V3, V6])
def test_every_route_answers_every_argument(wire, model):
    w = wire(model)
    routes = sorted(w.array._routes)
    for method, resource in routes:
        for value, identifier in itertools.product(VALUES, ("0", "x")):
            w.lun_made = w.code("POST", "/lun", {"NAME": "v", "PARENTID": "0", "CAPACITY": 2048, "ALLOCTYPE": 1})
            w.code("POST", "/host", {"NAME": "h"})
            path = "/" + resource.replace("{id}", identifier)
            w.envelope(method, path, dict.fromkeys(FIELDS, value))


@pytest.mark.parametrize("model", [V5, V6])
def test_every_single_argument_may_be_anything(wire, model):
    w = wire(model)
    valid = {"ID": "0", "NAME": "n", "PARENTID": "0", "CAPACITY": 2048, "ASSOCIATEOBJTYPE": "11", "ASSOCIATEOBJID": "0"}
    w.lun("v")
    w.host()
    w.mapped("0", "0")
    for method, resource in sorted(w.array._routes):
        for field, value in itertools.product(FIELDS, VALUES):
            w.envelope(method, "/" + resource.replace("{id}", "0"), valid | {field: value})


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff\xfe", b"null", b"1", b"[" * 100000])
def test_a_body_that_is_no_object_is_a_bad_parameter(wire, body):
    from dataclasses import replace

    from tests.simulation.conftest import request

    w = wire(V5)
    sent = replace(request("POST", f"/deviceManager/rest/{w.device}/lun", headers=w.headers), body=body)
    assert w.array.handle(sent).code == "50331651"


@pytest.mark.parametrize(
    "path", ["/", "/deviceManager/rest/", "/deviceManager/rest", "/x/y", "/api/v2/", "/deviceManager/rest/x"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "HEAD", "PATCH"])
def test_a_path_that_leads_nowhere_is_answered(wire, method, path):
    from tests.simulation.conftest import request

    w = wire(V6)
    assert w.array.handle(request(method, path, headers=w.headers)).code == "1077949002"
    assert w.array.operation(request(method, path))
