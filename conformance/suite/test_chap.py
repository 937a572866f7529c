"""CHAP: credentials set, changed, refused and handed back; never kept where they may be read."""

from __future__ import annotations

from dataclasses import replace

from blockdrivers.errors import InvalidRequest, NotSupported
from blockdrivers.model import Chap
from conformance.outcome import Level
from conformance.suite import expect
from conformance.suite.declare import check
from conformance.suite.rig import Rig


def _secret(rig: Rig, filler: str) -> str:
    rules = rig.capabilities.chap
    assert rules is not None, "this check has to declare that it needs chap"
    return ("Ct" + filler * rules.max_secret)[: rules.max_secret]


@check(
    "chap.set",
    Level.MANDATORY,
    "CHAP credentials are set and handed back",
    title_zh="设置CHAP认证",
    requirement="An export with CHAP sets the credentials and returns them, again alike; its text form does not show the secret.",
    needs=("chap", "iscsi"),
)
def test_set(rig: Rig) -> None:
    rig.volume()
    host = rig.with_chap(_secret(rig, "A"))
    first = rig.export(host=host)
    assert first.chap == host.chap, "the export does not hand back the credentials that were asked for"
    assert rig.export(host=host) == first, "exported again with the same credentials the export differs"
    assert host.chap is not None, "the host of this check has no credentials"
    assert host.chap.secret not in repr(first), "the export's text form shows the secret"
    if rig.run.control is not None:
        shown = [entry.get("chap_user") for entry in rig.control.state()["initiators"] if entry.get("id") == host.iqn]
        assert shown == [host.chap.username], f"inside, the array demands {shown} of the initiator, not {host.chap.username!r}"


@check(
    "chap.change",
    Level.MANDATORY,
    "CHAP credentials are changed",
    title_zh="更改CHAP认证",
    requirement="An export with other credentials replaces those of the initiator and keeps the LUN id; the array takes new ones.",
    needs=("chap", "iscsi"),
)
def test_change(rig: Rig) -> None:
    rig.volume()
    first = rig.export(host=rig.with_chap(_secret(rig, "A")))
    for filler, username in (("B", "ctest-user"), ("C", "ctest-other")):
        host = rig.with_chap(_secret(rig, filler), username=username)
        changed = rig.export(host=host)
        assert changed.chap == host.chap, "the export does not hand back the new credentials"
        assert replace(changed, chap=first.chap) == first, f"the export was {first} and is {changed}"


@check(
    "chap.refused",
    Level.MANDATORY,
    "CHAP secrets of a wrong length are refused",
    title_zh="长度不合规的CHAP密码被拒绝",
    requirement="A secret that is too short or too long, or one without a user name, is InvalidRequest and is not repeated.",
    needs=("chap", "iscsi"),
)
def test_refused(rig: Rig) -> None:
    rig.volume()
    rules = rig.capabilities.chap
    assert rules is not None, "this check has to declare that it needs chap"
    wrong = ["Xy" * rules.max_secret, ("Xyz" * rules.min_secret)[: rules.min_secret - 1], ""]
    hosts = [*map(rig.with_chap, wrong), replace(rig.host, chap=Chap("", _secret(rig, "D")))]
    if not rules.free_username:
        hosts.append(replace(rig.host, chap=Chap("ctest-user", _secret(rig, "D"))))
    for host in hosts:
        assert host.chap is not None, "the host of this check has no credentials"
        username, secret = host.chap.username, host.chap.secret
        with rig.unchanged(rig.id("v")):
            try:
                rig.export(host=host)
            except InvalidRequest as error:
                assert not secret or secret not in str(error), f"the error repeats the secret of {len(secret)} characters"
            else:
                raise AssertionError(f"a secret of {len(secret)} characters for {username!r} was taken")


@check(
    "chap.fc",
    Level.STANDARD,
    "CHAP over Fibre Channel is refused",
    title_zh="FC导出不支持CHAP并被拒绝",
    requirement="CHAP credentials with a Fibre Channel export are NotSupported; nothing is exported.",
    needs=("fc",),
)
def test_fc(rig: Rig) -> None:
    rig.volume()
    with rig.unchanged(rig.id("v")), expect.refused(NotSupported, what="CHAP over Fibre Channel"):
        rig.export(host=rig.with_chap("Ctest0123456789"))
