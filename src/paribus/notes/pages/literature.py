"""Papers: identifiers as links, and those that the file of an ablation names."""

from __future__ import annotations

import re

from paribus.config.ablations import shipped

IDS = re.compile(r"arXiv:(\d{4}\.\d{4,5})|doi:(\S+[^\s.,;)])")
PAPERS = re.compile(r"^# Papers?: (.*(?:\n# (?![A-Z][\w-]+:|.*ablation=).*)*)", re.MULTILINE)


def with_links(text: str) -> str:
    """arXiv and DOI identifiers as links."""

    def link(match: re.Match[str]) -> str:
        number, doi = match.groups()
        return f"[{match[0]}](https://arxiv.org/abs/{number})" if number else f"[{match[0]}](https://doi.org/{doi})"

    return IDS.sub(link, text)


def papers(name: str) -> str:
    """The papers in the head of a shipped ablation's file; empty where it names none."""
    path = shipped().get(name)
    found = PAPERS.search(path.read_text(encoding="utf-8")) if path else None
    return " ".join(found[1].replace("\n# ", " ").split()) if found else ""
