"""Names come from users and stand in documents: whatever they hold is printed and never obeyed."""

from __future__ import annotations

import re
import unicodedata
from html import escape as _html
from typing import Any

from paribus.base.terminal import plain as steady


def plain(text: str) -> str:
    """One line without characters that steer terminals or turn the direction of text."""
    spaced = " ".join(text.split())
    if spaced.isascii() and spaced.isprintable():
        return spaced
    return "".join(
        c for c in spaced if unicodedata.category(c)[0] != "C" and unicodedata.category(c) not in ("Zl", "Zp")
    )


_FORMULA = re.compile(r"\s*[=@+\-\t\r＝＠＋－]")
_NUMBER = re.compile(r"[+-]?(\d[\d,]*\.?\d*|\.\d+)(e[+-]?\d+)?( ?%)?|[+-]?(inf|nan)", re.I)


def spreadsheet(cell: Any) -> Any:
    """A field of a CSV file: text that a spreadsheet would take for a formula stands behind an apostrophe; numbers stay
    what they are."""
    if not isinstance(cell, str) or _NUMBER.fullmatch(cell):
        return cell
    return f"'{steady(cell)}" if _FORMULA.match(cell) else steady(cell)


_MEANING = re.compile(r"[\\`*\[\]|~$_&<>:]|www\.", re.I)  # what anything below could replace


def markdown(text: str) -> str:
    """Shown as it stands by Markdown: CommonMark and HTML in it, GitHub's tables, links and formulas."""
    text = plain(text)
    if not _MEANING.search(text):  # as in most numbers
        return text
    text = re.sub(r"([\\`*\[\]|~$])", r"\\\1", text)
    text = re.sub(
        r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text
    )  # within a word it means nothing, and norm_type stays legible
    # Only what could begin a character by its name, an element or a quotation: "p < 0.001" is read in a terminal, too.
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text)
    text = re.sub(r"<(?=[a-z/!?])", "&lt;", text, flags=re.I)
    text = re.sub(r"^>", "&gt;", text)
    text = re.sub(r"(?i)(https?|ftp|mailto|xmpp):", r"\1\\:", text)
    return re.sub(r"(?i)\b(www)\.", r"\1\\.", text)


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # after \\ it would begin an optional argument, as * would a starred form
    "]": "{]}",
    "*": "{*}",
    "–": r"\textendash{}",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "→": r"$\rightarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "≠": r"$\neq$",
    "∼": r"$\sim$",
    "√": r"$\surd$",
    "∈": r"$\in$",
    "←": r"$\leftarrow$",
    "↔": r"$\leftrightarrow$",
    "—": r"\textemdash{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "…": r"\ldots{}",
    "•": r"\textbullet{}",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "∞": r"$\infty$",
}
_GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "varepsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π",
    "rho": "ρ", "sigma": "σ", "tau": "τ", "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ",
    "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ",
    "Omega": "Ω",
}  # fmt: skip
_LATEX |= {letter: f"$\\{name}$" for name, letter in _GREEK.items()}


def latex(text: str) -> str:
    """Printed by LaTeX as it stands. Letters of other scripts are for XeLaTeX and LuaLaTeX; pdfLaTeX, which would
    stop at them, prints their code points, as all three do with other symbols.
    """
    escaped = "".join(map(_latex, plain(text)))
    return re.sub(r"-(?=-)", "-{}", escaped)  # -- would become a dash


def _latex(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    if ord(character) < 0x180:
        return character
    code = f"U+{ord(character):04X}"
    if unicodedata.category(character)[0] in "LMN":
        return rf"{{\ifdefined\Umathcode {character}\else {code}\fi}}"
    return code


def html(text: str) -> str:
    """Shown by a browser as it stands, also within a quoted attribute."""
    return _html(plain(text), quote=True)


# Behind these a long name may go on in the next line; a point or a hyphen only before a letter, so that numbers stay.
_SEPARATOR = re.compile(r"(?<=[_/=,:|+])(?=\S)|(?<=[.-])(?=[^\W\d_])")


def breakable(text: str) -> str:
    """The same, with places where a browser may begin a new line, so that it breaks no word."""
    return "<wbr>".join(map(html, _SEPARATOR.split(plain(text))))
