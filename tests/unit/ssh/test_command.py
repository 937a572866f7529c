"""Quoting that nothing breaks out of, proven on a real shell."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockdrivers.errors import InvalidRequest
from blockdrivers.transport.command import Secret, Verbatim, command, double_quoted, quote

printable = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40)
nasty = st.text(st.sampled_from("'\"\\$`!;&|<>(){}[]*?~#=% \u00a0ab-\u4e2d"), max_size=12)


def as_a_shell_reads_it(text):
    """Return the arguments that sh makes of a piece of a command line."""
    script = f"for word in {text}; do printf '%s\\0' \"$word\"; done"
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True, timeout=10, env={"LC_ALL": "C.UTF-8"})
    return done.stdout.decode().split("\0")[:-1]


@given(st.lists(printable | nasty, min_size=1, max_size=5))
def test_a_shell_reads_every_word_back(words):
    assert as_a_shell_reads_it(command(*words).line) == words


@given(printable | nasty)
def test_double_quotes_hold_what_they_take(word):
    if set('"$`\\!') & set(word):
        with pytest.raises(InvalidRequest, match="leave it out"):
            double_quoted(word)
    else:
        assert as_a_shell_reads_it(double_quoted(word).text) == [word]


@pytest.mark.parametrize("word", ["a\nb", "a\rb", "a\0b", "\x1b[2J", "\x7f", "\ud800"])
def test_control_characters_are_refused(word):
    for attempt in (quote, double_quoted, command, lambda text: command(Secret(text))):
        with pytest.raises(InvalidRequest, match="control character"):
            attempt(word)


def test_plain_words_stay_as_they_are():
    shown = command("cinder", "create_volume", "--size", "10", Verbatim('--type "RAID Volume"'), "iqn.2020-12.org.example:a")
    assert shown.line == 'cinder create_volume --size 10 --type "RAID Volume" iqn.2020-12.org.example:a'
    assert shown.shown == shown.line


def test_an_empty_word_is_still_one():
    assert as_a_shell_reads_it(command("a", "", "b").line) == ["a", "", "b"]


@given(printable.filter(lambda text: len(text) > 3))
def test_a_secret_is_sent_and_not_shown(secret):
    made = command("chhost", "-chapsecret", Secret(secret), "h")
    assert as_a_shell_reads_it(made.line)[2] == secret
    assert made.shown == "chhost -chapsecret *** h"
    assert repr(made) == "Command(shown='chhost -chapsecret *** h')"
    assert repr(Secret(secret)) == "Secret()"
    assert made.redacted(f"error: {secret} is too short") == "error: *** is too short"
