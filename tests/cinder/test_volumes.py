from __future__ import annotations


def test_a_volume_lives(cloud):
    made = cloud.volume(2, name="first")
    assert cloud.on_array(made)
    cloud.write(made, b"x" * 4096)
    assert cloud.read(made, 4096) == b"x" * 4096
    cloud.api.remove("volume", made)
    assert cloud.on_array(made) is None
