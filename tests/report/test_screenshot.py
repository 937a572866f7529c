"""The page in a real browser: what it looks like, and that the language switch works without a network."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from samples import CHECKS, MIXED, certificate, outcomes

from conformance import report
from conformance.report.page import Language

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
REQUIRED = os.environ.get("CI") == "true" or bool(os.environ.get("BLOCKDRIVERS_REQUIRE_BROWSER"))
WIDTH, HEIGHT = 1200, 1800
SAMPLE = certificate(outcomes(MIXED))


@pytest.fixture(scope="module")
def chromium() -> str:
    if CHROMIUM is None:
        (pytest.fail if REQUIRED else pytest.skip)("no Chromium on this machine; Debian's package is called chromium")
    assert CHROMIUM is not None
    return CHROMIUM


def browse(chromium: str, tmp_path: Path, page: str, *options: str) -> str:
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    done = subprocess.run(
        [chromium, *flags, "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}", *options, path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def pixels(png: bytes) -> tuple[int, int, list[bytes]]:
    """Return width, height and the pixels of an 8-bit RGB or RGBA picture, each as its bytes."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height, depth, colour = struct.unpack(">IIBB", png[16:26])
    assert depth == 8
    step = {2: 3, 6: 4}[colour]
    data, at = b"", 8
    while at < len(png):
        (length,), kind = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        if kind == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += 12 + length
    raw, stride = zlib.decompress(data), width * step
    lines: list[bytearray] = []
    for row in range(height):
        start = row * (stride + 1)
        above = lines[-1] if lines else bytearray(stride)
        lines.append(unfilter(raw[start], bytearray(raw[start + 1 : start + 1 + stride]), above, step))
    return width, height, [bytes(line[index : index + step]) for line in lines for index in range(0, stride, step)]


def unfilter(kind: int, line: bytearray, above: bytearray, step: int) -> bytearray:
    for index in range(len(line)):
        left = line[index - step] if index >= step else 0
        corner = above[index - step] if index >= step else 0
        line[index] = (line[index] + predicted(kind, left, above[index], corner)) & 0xFF
    return line


def predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind < 4:
        return (0, left, up, (left + up) // 2)[kind]
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_is_a_picture(chromium: str, tmp_path: Path, language: Language) -> None:
    shot = tmp_path / "shot.png"
    browse(chromium, tmp_path, report.page(SAMPLE, language), f"--screenshot={shot}", f"--window-size={WIDTH},{HEIGHT}")
    width, height, found = pixels(shot.read_bytes())
    assert (width, height) == (WIDTH, HEIGHT)
    assert len(set(found)) > 200
    assert max(found.count(colour) for colour in set(found[:: WIDTH * 7 + 3])) < 0.85 * len(found)


def test_the_dom_holds_everything_in_both_languages(chromium: str, tmp_path: Path) -> None:
    dom = browse(chromium, tmp_path, report.page(SAMPLE), "--dump-dom")
    assert re.search(r'class="letter">C<', dom)
    assert all(check.id in dom and check.title_zh in dom for check in CHECKS)
    assert "What is open" in dom
    assert "待解决" in dom
    assert SAMPLE.digest in dom


PROBE = """<script>
for (const language of ["zh", "en"]) {
  document.getElementById("language-" + language).click();
  const seen = document.createElement("pre");
  seen.id = "seen-" + language;
  seen.textContent = document.querySelector("main").innerText;
  document.body.append(seen);
}
</script>"""


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_switch_shows_one_language_at_a_time(chromium: str, tmp_path: Path, language: Language) -> None:
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report.page(SAMPLE, language))
    dom = browse(chromium, tmp_path, page.replace("</body>", PROBE + "</body>"), "--dump-dom")
    seen = {found[1]: found[2] for found in re.finditer(r'<pre id="seen-(zh|en)">(.*?)</pre>', dom, re.S)}
    for check in CHECKS:
        assert check.id in seen["zh"]
        assert check.id in seen["en"]
        assert check.title_zh in seen["zh"]
        assert check.title_zh not in seen["en"]
    assert "What is open" in seen["en"]
    assert "What is open" not in seen["zh"]
    assert "待解决" in seen["zh"]
    assert "OceanStor 5500 V5" in seen["zh"]
