"""Images in and out of volumes of a simulated array, over iSCSI."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from blockdrivers import GiB, Host, MiB, Protocol, open_backend
from blockdrivers.errors import ConfigurationError, DeadlineExceeded, InUse, InvalidRequest
from blockdrivers.host import imagefile, userspace
from blockdrivers.model import Chap
from blockdrivers.plugins import find_model
from conformance.simulation.opening import open_array, write_config

MODEL = "OceanStor 5500 V5"
STAMPS = (0, 300 * MiB + 512, GiB - MiB)
TRANSFER = Host("transfer", iqn="iqn.1994-05.org.example:transfer")
CREATE = {
    "raw": ("raw", ()),
    "qcow2": ("qcow2", ()),
    "vmdk": ("vmdk", ("-o", "subformat=streamOptimized")),
    "vhd": ("vpc", ("-o", "force_size=on")),
}


@pytest.fixture(scope="module")
def array(tmp_path_factory):
    with open_array(find_model(MODEL), MODEL) as simulated:
        simulated.config = write_config(tmp_path_factory.mktemp("config"), find_model(MODEL), simulated.ready)
        yield simulated


@pytest.fixture
def backend(array):
    array.reset()
    with open_backend(array.config) as opened:
        yield opened


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A raw disk of 1 GiB with bytes here and there."""
    path = tmp_path_factory.mktemp("source") / "disk.raw"
    with path.open("wb") as file:
        file.truncate(GiB)
        for place in STAMPS:
            file.seek(place)
            file.write(os.urandom(MiB))
    return path


def image(source: Path, folder: Path, format: str) -> Path:
    driver, options = CREATE[format]
    made = folder / f"image, with comma.{format}"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", driver, *options, str(source), str(made)], check=True)
    return made


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def same(volume: str, backend, source: Path) -> bool:
    """Compare a volume with a raw file where that has bytes, around it, and here and there; beyond the file it has to be zero."""
    places = {*range(0, 2 * GiB, 32 * MiB), GiB - 64 * 1024}
    for stamp in STAMPS:
        places |= set(range(max(0, stamp - MiB), min(GiB, stamp + 2 * MiB), MiB))
    export = backend.export(volume, TRANSFER, Protocol.ISCSI)
    with userspace.open_lun(export.targets[0], export.lun, TRANSFER.iqn) as lun, source.open("rb") as file:
        equal = all(
            lun.read(at, min(MiB, lun.size - at)) == _file_at(file, at, min(MiB, lun.size - at))
            for at in sorted(places)
            if at < lun.size
        )
    backend.unexport(volume, TRANSFER, Protocol.ISCSI)
    return equal


def _file_at(file, at: int, length: int) -> bytes:
    file.seek(at)
    return file.read(length).ljust(length, b"\0")


@pytest.mark.parametrize("format", CREATE)
def test_an_image_goes_in_and_comes_out(backend, source, tmp_path, format):
    made = image(source, tmp_path, format)
    backend.create_volume("v", 2 * GiB, "pool_a")
    seen: list[float] = []
    backend.copy_image_to_volume("v", made, TRANSFER, format=format, sha256=sha256(made), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert same("v", backend, source)
    out = backend.copy_volume_to_image("v", tmp_path / "out", TRANSFER, format=format, digest=True)
    assert (out.sha256, out.size, out.virtual_size) == (sha256(out.path), out.path.stat().st_size, 2 * GiB)
    assert imagefile.inspect(out.path, format).virtual_size >= 2 * GiB
    backend.create_volume("w", 3 * GiB, "pool_a")
    backend.copy_image_to_volume("w", out.path, TRANSFER, format=format)
    assert same("w", backend, source)
    assert backend.list_exports("v") == backend.list_exports("w") == []


def test_old_bytes_do_not_shine_through_an_image(backend, source, tmp_path):
    backend.create_volume("v", GiB, "pool_a")
    export = backend.export("v", TRANSFER, Protocol.ISCSI)
    with userspace.open_lun(export.targets[0], export.lun, TRANSFER.iqn) as lun:
        lun.write(100 * MiB, b"old" * MiB)
    backend.copy_image_to_volume("v", image(source, tmp_path, "qcow2"), TRANSFER, format="qcow2")
    assert same("v", backend, source)


def test_chap_is_used_for_the_copy(backend, source, tmp_path):
    host = Host("chap", iqn="iqn.1994-05.org.example:chap", chap=Chap("chapuser", "secretsecret12"))
    backend.create_volume("v", GiB, "pool_a")
    backend.copy_image_to_volume("v", source, host, format="raw")
    out = backend.copy_volume_to_image("v", tmp_path / "out.raw", host, format="raw", digest=True)
    assert out.sha256 == sha256(source)


def test_images_leave_holes_out(backend, source, tmp_path):
    backend.create_volume("v", GiB, "pool_a")
    backend.copy_image_to_volume("v", source, TRANSFER, format="raw")
    out = backend.copy_volume_to_image("v", tmp_path / "out.qcow2", TRANSFER)
    assert out.size < 8 * MiB
    assert out.sha256 is None


def refused(backend, path, format, **more):
    before = backend.get_volume("v")
    with pytest.raises(InvalidRequest) as error:
        backend.copy_image_to_volume("v", path, TRANSFER, format=format, **more)
    assert backend.get_volume("v") == before
    assert backend.list_exports("v") == []
    return str(error.value)


def test_images_that_refer_to_other_files_are_refused(backend, tmp_path):
    backend.create_volume("v", GiB, "pool_a")
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret" * 1000)

    def make(name, *options):
        subprocess.run(["qemu-img", "create", "-q", *options, str(tmp_path / name), "1M"], check=True)
        return tmp_path / name

    assert "backing file" in refused(backend, make("b.qcow2", "-f", "qcow2", "-b", str(secret), "-F", "raw"), "qcow2")
    data = make("d.qcow2", "-f", "qcow2", "-o", f"data_file={tmp_path / 'ext'}")
    assert "external data file" in refused(backend, data, "qcow2")
    assert "extent files" in refused(backend, make("f.vmdk", "-f", "vmdk", "-o", "subformat=monolithicFlat"), "vmdk")
    parent = make("p.vmdk", "-f", "vmdk")
    assert "parent" in refused(backend, make("c.vmdk", "-f", "vmdk", "-b", str(parent), "-F", "vmdk"), "vmdk")
    descriptor = tmp_path / "text.vmdk"
    descriptor.write_text('# Disk DescriptorFile\ncreateType="monolithicFlat"\nRW 8 FLAT "/etc/passwd" 0\n')
    assert "extent files" in refused(backend, descriptor, "vmdk")


def vmdk(path: Path, *descriptor: str, capacity: int = 0, length: int = 1) -> Path:
    """Make a VMDK of a header and a descriptor, whose length the header gives in sectors."""
    header = bytearray(512)
    header[0:8] = b"KDMV" + (1).to_bytes(4, "little")
    for at, value in ((12, capacity), (20, 128), (28, 1), (36, length)):
        header[at : at + 8] = value.to_bytes(8, "little")
    path.write_bytes(bytes(header) + "\n".join(descriptor).encode().ljust(64 * 1024, b"\0"))
    return path


HONEST = ("# Disk DescriptorFile", "CID=12345678", "parentCID=ffffffff", 'createType="monolithicSparse"', 'RW 16 SPARSE "self"')


@pytest.mark.parametrize(
    ("extra", "how"),
    [
        ((), {"capacity": 0}),
        (('# createType="monolithicFlat"',), {"capacity": 16}),
        (('  RW 16 FLAT "{secret}" 0',), {"capacity": 16}),
        (("#" * 600, 'RW 16 FLAT "{secret}" 0'), {"capacity": 16}),
        (("#" * 600, 'parentFileNameHint="{secret}"'), {"capacity": 16}),
    ],
    ids=["no-capacity", "a-type-in-a-comment", "an-indented-extent", "an-extent-past-the-length", "a-parent-past-the-length"],
)
def test_a_vmdk_that_hides_what_it_refers_to_is_refused(backend, tmp_path, extra, how):
    """What QEMU reads in a descriptor is more than its header gives, and found in other ways than a person would look for it."""
    backend.create_volume("v", GiB, "pool_a")
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret!!" * 1024)
    evil = vmdk(tmp_path / "evil.vmdk", *HONEST, *(line.format(secret=secret) for line in extra), **how)
    assert "refers to" in refused(backend, evil, "vmdk")


def test_the_vmdk_that_makes_qemu_read_another_file_is_refused(backend, tmp_path):
    """The worst of them, shown to work on qemu-img itself, so that this test is known to test something."""
    backend.create_volume("v", GiB, "pool_a")
    secret, out = tmp_path / "secret", tmp_path / "out"
    secret.write_bytes(b"secret!!" * 1024)
    lines = ['# createType="monolithicFlat"', *HONEST[:-1], 'RDONLY 16 SPARSE "self"', "#" * 600, f' RW 16 FLAT "{secret}" 0']
    evil = vmdk(tmp_path / "evil.vmdk", HONEST[0], *lines)
    subprocess.run(["qemu-img", "convert", "-f", "vmdk", "-O", "raw", str(evil), str(out)], check=True)
    assert out.read_bytes().startswith(b"secret!!")
    assert "extent files" in refused(backend, evil, "vmdk")


def test_what_is_no_regular_file_is_refused(backend, tmp_path):
    backend.create_volume("v", GiB, "pool_a")
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in refused(backend, tmp_path / "pipe", "raw")
    assert "no regular file" in refused(backend, Path("/dev/zero"), "raw")


def test_a_differencing_vhd_is_refused_by_either_footer(backend, source, tmp_path):
    backend.create_volume("v", GiB, "pool_a")
    whole = image(source, tmp_path, "vhd").read_bytes()
    for place in (60, len(whole) - 512 + 60):
        changed = bytearray(whole)
        changed[place : place + 4] = (4).to_bytes(4, "big")
        (tmp_path / "d.vhd").write_bytes(changed)
        assert "a parent" in refused(backend, tmp_path / "d.vhd", "vhd")


def test_a_missing_program_is_named(backend, source, monkeypatch):
    backend.create_volume("v", GiB, "pool_a")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigurationError, match="qemu-utils"):
        backend.copy_image_to_volume("v", source, TRANSFER, format="raw")
    with pytest.raises(ConfigurationError, match="qemu-utils"):
        backend.copy_volume_to_image("v", source.with_name("none"), TRANSFER)
    assert backend.list_exports("v") == []


def test_images_that_are_not_what_was_said_are_refused(backend, source, tmp_path):
    backend.create_volume("v", GiB, "pool_a")
    qcow2 = image(source, tmp_path, "qcow2")
    assert "qcow2, not raw" in refused(backend, qcow2, "raw")
    assert "raw, not qcow2" in refused(backend, source, "qcow2")
    assert "no image format" in refused(backend, source, "iso")
    assert "cannot be read" in refused(backend, tmp_path / "absent", "raw")
    assert "SHA-256" in refused(backend, qcow2, "qcow2", sha256="0" * 64)
    broken = tmp_path / "broken.qcow2"
    header = bytearray(qcow2.read_bytes())
    header[20:24] = (99).to_bytes(4, "big")  # clusters of 2**99 bytes
    broken.write_bytes(header)
    assert "cannot be used" in refused(backend, broken, "qcow2")
    large = tmp_path / "large.raw"
    with large.open("wb") as file:
        file.truncate(GiB + 512)
    assert "extend the volume" in refused(backend, large, "raw")


def test_an_image_that_costs_too_much_to_look_at_is_refused(backend, tmp_path, monkeypatch):
    backend.create_volume("v", GiB, "pool_a")
    huge = tmp_path / "huge.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(huge), "1M"], check=True)
    monkeypatch.setattr(imagefile, "_INFO_BYTES", 16 * MiB)
    assert "cannot be used" in refused(backend, huge, "qcow2")


def test_volumes_in_use_or_too_large_are_not_copied(backend, source, tmp_path):
    backend.create_volume("v", GiB, "pool_a")
    backend.export("v", Host("cmp01", iqn="iqn.1994-05.org.example:cmp01"), Protocol.ISCSI)
    with pytest.raises(InUse, match="cmp01"):
        backend.copy_image_to_volume("v", source, TRANSFER, format="raw")
    with pytest.raises(InUse, match="cmp01"):
        backend.copy_volume_to_image("v", tmp_path / "out", TRANSFER)
    backend.create_volume("large", 301 * GiB, "pool_a")
    with pytest.raises(InvalidRequest, match="up to"):
        backend.copy_volume_to_image("large", tmp_path / "out", TRANSFER)
    assert list(tmp_path.iterdir()) == []


def test_a_copy_that_meets_its_deadline_leaves_no_file_and_no_export(backend, source, tmp_path, monkeypatch):
    backend.create_volume("v", GiB, "pool_a")
    backend.copy_image_to_volume("v", source, TRANSFER, format="raw")
    slow = tmp_path / "bin"
    slow.mkdir()
    (slow / "qemu-img").write_text("#!/bin/sh\nexec sleep 60\n")
    (slow / "qemu-img").chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow}:{os.environ['PATH']}")
    with pytest.raises(DeadlineExceeded):
        backend.copy_volume_to_image("v", tmp_path / "out", TRANSFER, timeout=2)
    assert list(tmp_path.iterdir()) == [slow]
    assert backend.list_exports("v") == []


@pytest.mark.parametrize("name", ["transfer", "Transfer host of hall 3, for nothing else"])
def test_a_copy_killed_half_way_is_made_whole_by_a_repeat(array, backend, source, tmp_path, name):
    host = Host(name, iqn=TRANSFER.iqn)
    backend.create_volume("v", GiB, "pool_a")
    slow = tmp_path / "bin"
    slow.mkdir()
    # Half an image, and then a process that hangs: what a machine that dies leaves behind.
    (slow / "qemu-img").write_text(
        '#!/bin/sh\n[ "$1" = info ] && exec /usr/bin/qemu-img "$@"\necho "(40.00/100%)"\nexec sleep 60\n'
    )
    (slow / "qemu-img").chmod(0o755)
    script = (
        "from pathlib import Path\nfrom blockdrivers import *\n"
        f"with open_backend({str(array.config)!r}) as backend:\n"
        f"    backend.copy_image_to_volume('v', Path({str(source)!r}), {host!r}, format='raw',\n"
        "        progress=lambda done: print(done, flush=True))\n"
    )
    environment = dict(os.environ) | {"PATH": f"{slow}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0.4\n"
        process.send_signal(signal.SIGKILL)
    assert len(backend.list_exports("v")) == 1
    backend.copy_image_to_volume("v", source, host, format="raw")
    assert backend.list_exports("v") == []
    backend.remove_host(host)
    assert same("v", backend, source)


def test_what_qemu_img_says_of_an_image_is_checked_too(tmp_path, monkeypatch):
    """A stand-in for a future qemu-img that knows of references which the headers read here do not show."""
    path = tmp_path / "a.raw"
    path.write_bytes(bytes(1024))
    liar = tmp_path / "bin"
    liar.mkdir()
    told = json.dumps({"virtual-size": 1024, "backing-filename": "/etc/passwd"})
    (liar / "qemu-img").write_text(f"#!/bin/sh\necho '{told}'\n")
    (liar / "qemu-img").chmod(0o755)
    monkeypatch.setenv("PATH", f"{liar}:{os.environ['PATH']}")
    with pytest.raises(InvalidRequest, match="refers to another file"):
        imagefile.inspect(path, "raw")
