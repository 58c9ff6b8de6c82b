"""Text for LaTeX: every character is shown as itself, or replaced, and none is a command."""

from __future__ import annotations

import re
import unicodedata

#: Longer words may be broken in running text, after every so many characters.
LONGEST_WORD = 24

BREAK = r"\allowbreak{}"

#: How the code point of a character ends that is shown as such.
CODE_END = r"\textgreater{}"


def latex(text: str) -> str:
    """Escape everything that is special in LaTeX.

    The result needs no package, no font encoding and no particular engine. A character that the
    standard fonts lack is replaced by its code point: ``<U+4E2D>``.
    """
    composed = unicodedata.normalize("NFC", text)
    escaped = "".join(map(_character, composed))
    return re.sub(r"([-',])(?=\1)", r"\1{}", escaped)  # otherwise a dash or a quotation mark


def latex_figure(text: str) -> str:
    """Escape a figure; its hyphens are minus signs, except in ``1e-07``."""
    return latex(re.sub(r"(?<!e)-", "−", text))


def latex_paragraph(text: str) -> str:
    """Escape running text, of which long words may be broken so that they fit the line."""
    return " ".join(map(_breakable, text.split()))


def _breakable(word: str) -> str:
    pieces = [word[start : start + LONGEST_WORD] for start in range(0, len(word), LONGEST_WORD)]
    return BREAK.join(latex(piece).replace(CODE_END, CODE_END + BREAK) for piece in pieces)


def _character(character: str) -> str:
    if character in LATEX:
        return LATEX[character]
    if (character.isascii() and character.isprintable()) or character in LATIN:
        return character
    parts = unicodedata.normalize("NFD", character)
    base, accent = parts[:1], ACCENTS.get(parts[1:], "")
    if accent and base.isascii() and base.isalpha():
        return rf"\{accent}{{{base}}}"
    if character.isspace():
        return " "
    return rf"\textless{{}}U+{ord(character):04X}{CODE_END}"


#: Letters that LaTeX reads in UTF-8 and that are in all its fonts.
LATIN = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿ"

#: Combining characters and the commands of the same accents.
ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u",
    "\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0323": "d",
    "\u0327": "c", "\u0331": "b",
}  # fmt: skip

ASCII = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    # At the start of a row, these would belong to the line break before it.
    **{character: f"{{{character}}}" for character in "[]*"},
    "`": r"\textasciigrave{}",
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",  # \textquotedbl is not in the default font encoding
}

MATH = {
    "−": "-", "±": r"\pm", "×": r"\times", "÷": r"\div", "·": r"\cdot", "∘": r"\circ",
    "≥": r"\geq", "≤": r"\leq", "≠": r"\neq", "≈": r"\approx", "≡": r"\equiv", "∼": r"\sim",
    "∝": r"\propto", "≪": r"\ll", "≫": r"\gg", "«": r"\ll", "»": r"\gg", "∞": r"\infty",
    "→": r"\rightarrow", "←": r"\leftarrow", "↔": r"\leftrightarrow", "↑": r"\uparrow",
    "↓": r"\downarrow", "⇒": r"\Rightarrow", "∈": r"\in", "∀": r"\forall", "∃": r"\exists",
    "∑": r"\sum", "∏": r"\prod", "∫": r"\int", "∂": r"\partial", "∇": r"\nabla", "√": r"\surd",
    "∩": r"\cap", "∪": r"\cup", "⊕": r"\oplus", "⊗": r"\otimes", "★": r"\star", "¬": r"\neg",
    **{character: f"^{n}" for n, character in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
    **{character: f"_{n}" for n, character in enumerate("₀₁₂₃₄₅₆₇₈₉")},
}  # fmt: skip

PUNCTUATION = {
    "—": r"\textemdash{}", "–": r"\textendash{}", "‐": "-", "‑": "-", "…": r"\ldots{}",
    "‘": r"\textquoteleft{}", "’": r"\textquoteright{}", "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}", "„": ",{},", "¡": r"\textexclamdown{}",
    "¿": r"\textquestiondown{}", "•": r"\textbullet{}", "†": r"\dag{}", "‡": r"\ddag{}",
    "§": r"\S{}", "¶": r"\P{}", "©": r"\textcopyright{}", "®": r"\textregistered{}",
    "™": r"\texttrademark{}", "°": r"\textdegree{}", "µ": r"\textmu{}", "£": r"\pounds{}",
    "€": r"\texteuro{}", "Ł": r"\L{}", "ł": r"\l{}", "Œ": r"\OE{}", "œ": r"\oe{}", "ı": r"\i{}",
}  # fmt: skip

#: Letters of the Greek alphabet that have commands.
GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ζ": "zeta",
    "η": "eta", "θ": "theta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu",
    "ξ": "xi", "π": "pi", "ρ": "rho", "ς": "varsigma", "σ": "sigma", "τ": "tau", "υ": "upsilon",
    "φ": "varphi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta",
    "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Υ": "Upsilon", "Φ": "Phi", "Ψ": "Psi",
    "Ω": "Omega",
}  # fmt: skip

#: Characters and what is written instead.
LATEX = {
    **ASCII,
    **PUNCTUATION,
    **{character: f"${command}$" for character, command in MATH.items()},
    **{character: f"$\\{command}$" for character, command in GREEK.items()},
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧο", "ABEZHIKMNOPTXo", strict=True)),  # no commands: they look Latin
}
