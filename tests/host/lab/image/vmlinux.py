"""Unpack a Debian kernel: QEMU starts an ELF file at once, where a packed one would be unpacked by emulated instructions.

Usage: vmlinux.py VMLINUZ VMLINUX. Source for the header: the kernel's Documentation/arch/x86/boot.rst.
"""

import lzma
import struct
import subprocess
import sys
from pathlib import Path

_SECTOR = 512
_SETUP_SECTORS, _PAYLOAD_OFFSET, _PAYLOAD_LENGTH = 0x1F1, 0x248, 0x24C


def unpacked(image: bytes) -> bytes:
    """Return the ELF file that a bzImage holds."""
    start = (image[_SETUP_SECTORS] + 1) * _SECTOR + struct.unpack_from("<I", image, _PAYLOAD_OFFSET)[0]
    payload = image[start : start + struct.unpack_from("<I", image, _PAYLOAD_LENGTH)[0]]
    if payload.startswith(b"\xfd7zXZ\0"):
        # The kernel's build appends the length to the xz stream.
        kernel = lzma.LZMADecompressor().decompress(payload)
    elif payload.startswith(b"\x28\xb5\x2f\xfd"):
        kernel = subprocess.run(["zstd", "-dcq"], input=payload, stdout=subprocess.PIPE, check=False).stdout
    else:
        raise SystemExit(f"unknown packing of the kernel: {payload[:8].hex()}")
    if not kernel.startswith(b"\x7fELF"):
        raise SystemExit("what the kernel was unpacked to is no ELF file")
    return kernel


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(unpacked(Path(sys.argv[1]).read_bytes()))
