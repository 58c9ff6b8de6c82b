"""Formatting of text from suites and plugins, so that it is safe to show."""

from __future__ import annotations

import json
import os
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from seqbench.quantities import find
from seqbench.records import AS_DATA

#: Control, format (also: right-to-left overrides), surrogate, private and unassigned characters,
#: line and paragraph separators.
UNSHOWABLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}

LONGEST_LABEL, LONGEST_LINE = 60, 300


def clean(text: object, longest: int = LONGEST_LINE) -> str:
    """One line without control characters, cut to ``longest`` characters with ``…``."""
    spaced = " ".join(str(text).split())
    if spaced.isprintable():
        line = spaced
    else:
        line = "".join(map(_shown, spaced))
        line = " ".join(line.split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def command_line(words: Sequence[str]) -> str:
    """A command to copy into a shell. Bytes that are not UTF-8 are escaped for bash and zsh."""
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    if not any("\udc80" <= character <= "\udcff" for character in word):
        return shlex.quote(word)
    plain = (
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b"\\'" else f"\\x{byte:02x}"
        for byte in os.fsencode(word)
    )
    return f"$'{''.join(plain)}'"


def _shown(character: str) -> str:
    """The character, or "" if it cannot be shown. ``\\xe9`` for a byte that is not UTF-8."""
    if "\udc80" <= character <= "\udcff":  # PEP 383
        return f"\\x{ord(character) - 0xDC00:02x}"
    return "" if unicodedata.category(character) in UNSHOWABLE else character


def lines_of(text: object) -> list[str]:
    """The lines of a longer text, each cleaned, without empty lines at the start and the end."""
    return [clean(line, 10 * LONGEST_LINE) for line in str(text or "").strip().splitlines()]


def label(case: Mapping[str, Any]) -> str:
    """The name of a case in tables."""
    return clean(case["label"], LONGEST_LABEL) or clean(case["id"], LONGEST_LABEL)


def settings(params: Mapping[str, Any]) -> str:
    """``view=rows, validation=5000``; parameters that are None are omitted."""
    pairs = [
        f"{name}={value if isinstance(value, str) else json.dumps(value, default=str)}"
        for name, value in params.items()
        if value is not None
    ]
    return clean(", ".join(pairs))


def length_words(length: object) -> str:
    """``length 16``, or ``as data`` for the lengths of the test split."""
    return "as data" if length == AS_DATA else f"length {clean(length)}"


def counted(n: int, word: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def target_words(target: Mapping[str, Any]) -> str:
    """``accuracy ≥ 0.85``."""
    higher = find(target["metric"]).higher_is_better
    sign = "≥" if target.get("sign", ">=" if higher else "<=") == ">=" else "≤"
    return f"{target['metric']} {sign} {target['value']:g}"
