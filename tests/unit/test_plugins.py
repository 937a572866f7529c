from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from blockdrivers import plugins
from blockdrivers.errors import ConfigurationError, InvalidRequest


def test_in_tree_families_come_through_the_entry_point():
    assert plugins.adapters()["huawei-oceanstor"].vendor == "Huawei"
    assert plugins.broken() == {}


@pytest.mark.parametrize("spelling", ["OceanStor 5500 V5", "oceanstor 5500 v5", "OceanStor5500V5"])
def test_a_model_is_found_however_it_is_spelt(spelling):
    assert plugins.find_model(spelling).name == "huawei-oceanstor"


@pytest.mark.parametrize(
    ("name", "adapter", "served"),
    [
        ("CF8820", "h3c-cf-wsapi", "ConvergedFabric 8820 Storage"),
        ("Huawei OceanStor 5500 V5", "huawei-oceanstor", "OceanStor 5500 V5"),
        ("NetApp FAS8200", "netapp-ontap", "FAS8200"),
    ],
)
def test_any_name_of_the_compatibility_list_will_do(name, adapter, served):
    found, spelled = plugins.served_model(name)
    assert (found.name, spelled) == (adapter, served)


def test_a_model_whose_protocol_nobody_knows_gets_its_probe():
    with pytest.raises(InvalidRequest, match="doctor` with the adapter h3c-cf-wsapi"):
        plugins.find_model("ConvergedFabric 5040")


def test_an_unknown_model_gets_near_ones():
    with pytest.raises(InvalidRequest, match="OceanStor 5500 V5"):
        plugins.find_model("OceanStor 5500 V55")


def test_an_unknown_adapter_gets_near_ones():
    with pytest.raises(ConfigurationError, match="huawei-oceanstor"):
        plugins.find_adapter("huawei-oceanstore")


def test_a_broken_plugin_leaves_the_others_alone():
    found = plugins._discover(
        [
            EntryPoint("broken", "no_such_module_anywhere", plugins.GROUP),
            EntryPoint("in-tree", "vendors", plugins.GROUP),
            EntryPoint("again", "vendors", plugins.GROUP),
        ]
    )
    assert "huawei-oceanstor" in found.adapters
    assert "no_such_module_anywhere" in found.broken["broken of an unknown distribution"]
    assert "again of an unknown distribution" in found.broken


def test_every_row_of_the_matrix_with_an_adapter_is_served_by_it():
    from blockdrivers import matrix

    for row in matrix.load().rows:
        if row.adapter in plugins.adapters():
            assert plugins.find_model(row.model).name == row.adapter


def test_importing_the_library_is_light():
    program = (
        "import sys, blockdrivers; print(sorted({'requests', 'pydantic', 'yaml', 'pluggy', 'click', 'rich'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == "[]"


def test_every_public_name_can_be_imported():
    import blockdrivers

    for name in blockdrivers.__all__:
        assert getattr(blockdrivers, name) is not None
    with pytest.raises(AttributeError):
        _ = blockdrivers.no_such_name
