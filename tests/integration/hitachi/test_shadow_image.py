"""Clones of VSP volumes by ShadowImage: what each cut leaves, what is refused meanwhile, and what another REST server has made."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.hitachi import MODELS, POOL
from blockdrivers.errors import InUse
from blockdrivers.model import GiB, Protocol, VolumeState
from conformance.simulation.family import Request, Response
from tests.integration.hitachi.lab import ISCSI, Lab, home
from vendors.hitachi import shadow

SHADOW = {"clone_with": "shadow-image"}


@pytest.mark.parametrize("model", MODELS)
def test_clones_may_be_shadow_images(lab, model):
    started = lab(model)
    array = started.open(**SHADOW)
    array.create_volume("v1", GiB, POOL)
    started.array.family.set_licence("Thin Image", usable=False)
    started.count()
    made = array.clone_volume("c1", "v1", size=2 * GiB)
    assert (made.size, made.state) == (2 * GiB, VolumeState.READY)
    # The driver of cinder needs nine.
    assert sum(started.sent().values()) <= 9
    assert started.state("copies") == []
    assert started.labels() == ["bdvl-c1", "bdvl-v1"]


def test_a_snapshot_is_copied_by_thin_image_all_the_same(lab):
    started = lab()
    array = started.open(**SHADOW)
    array.create_volume("v1", GiB, POOL)
    array.create_snapshot("s1", "v1")
    started.count()
    array.create_volume_from_snapshot("c1", "s1", pool=POOL)
    assert "POST /local-clone-copypairs" not in started.sent()


def _shadow(started: Lab, steps: int) -> None:
    """Leave what a clone of v1 that was cut off has made."""
    target, source = home("c1")[0], home("v1")[0]
    pair = shadow._clone("bdvl-c1")
    started.admin("POST", "ldevs", {"ldevId": target, "poolId": 0, "byteFormatCapacity": "1G"})
    started.admin("PATCH", f"ldevs/{target}", {"label": "bdvl-c1~"})
    if steps > 1:
        names = {"copyGroupName": pair, "copyPairName": pair, "isNewGroupCreation": True, "replicationType": "SI"}
        body = {**names, "pvolLdevId": source, "svolLdevId": target, "autoSplit": True}
        assert started.admin("POST", "local-clone-copypairs", body)["state"] == "Succeeded"
    if steps > 2:
        assert started.admin("DELETE", shadow._path(pair))["state"] == "Succeeded"


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_shadow_image_goes_on_where_it_was_cut_off(lab, steps):
    started = lab()
    array = started.open(**SHADOW)
    array.create_volume("v1", GiB, POOL)
    _shadow(started, steps)
    assert array.get_volume("c1").state is VolumeState.COPYING
    assert array.clone_volume("c1", "v1").state is VolumeState.READY
    assert started.state("copies") == []
    assert started.labels() == ["bdvl-c1", "bdvl-v1"]


def test_an_unfinished_clone_is_neither_shown_nor_given_up(lab):
    started = lab()
    array = started.open(**SHADOW)
    array.create_volume("v1", GiB, POOL)
    _shadow(started, 1)
    paths = started.state("mappings")
    for refused in (
        lambda: array.export("c1", ISCSI, Protocol.ISCSI),
        lambda: array.unmanage_volume("c1", "legacy"),
        lambda: array.create_snapshot("s1", "c1"),
        lambda: array.extend_volume("c1", 2 * GiB),
        lambda: array.clone_volume("c2", "c1"),
    ):
        with pytest.raises(InUse, match="not complete"):
            refused()
    assert started.state("mappings") == paths
    assert started.labels() == ["bdvl-c1~", "bdvl-v1"]


@pytest.mark.parametrize("options", [SHADOW, {}])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_an_unfinished_shadow_image_is_deleted_and_swept(lab, steps, options):
    started = lab()
    array = started.open(**options)
    array.create_volume("v1", GiB, POOL)
    for remove in (lambda: array.delete_volume("c1"), lambda: array.sweep(remove=True)):
        _shadow(started, steps)
        remove()
        assert started.labels() == ["bdvl-v1"]
        assert started.state("copies") == []


def test_a_fourth_shadow_image_of_a_source_waits_for_its_turn(lab):
    started = lab(copy_seconds=0.4)
    array = started.open(**SHADOW)
    array.create_volume("v1", GiB, POOL)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda number: array.clone_volume(f"c{number}", "v1"), range(4)))
    assert [volume.state for volume in made] == [VolumeState.READY] * 4
    assert started.state("copies") == []


def test_a_source_of_a_shadow_image_is_kept(lab):
    started = lab()
    array = started.open(**SHADOW)
    array.create_volume("v1", GiB, POOL)
    _shadow(started, 2)
    with pytest.raises(InUse, match="copy"):
        array.delete_volume("v1")


def test_a_pair_that_another_server_has_made_is_looked_for(lab):
    """Each server remembers the copy groups that it has seen, and looks for others only when it is told to."""
    started = lab()
    array = started.open(**SHADOW)
    array.create_volume("v1", GiB, POOL)
    _shadow(started, 2)
    honest, looked = started.array.family.handle, []

    def forgetful(request: Request) -> Response:
        if "local-clone-copypairs" in request.path and request.method == "GET":
            looked.append(request.query.get("refresh") == "true")
            if not any(looked):
                return Response(b'{"data": []}')
        return honest(request)

    started.array.family.handle = forgetful
    assert array.clone_volume("c1", "v1").state is VolumeState.READY
    assert started.state("copies") == []
