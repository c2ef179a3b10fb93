"""Fails where a link of README.md or of a page beside it or under docs/ leads to no file, or to no heading."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "model/README.md"]


def prose(page):
    """Returns a page's text without its code."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page):
    """Returns the anchors that GitHub gives to a page's headings, and those that the page sets itself."""
    headings = re.findall(r"^#+ +(.*)$", page.read_text(), re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)"', page.read_text()))


def dead(page):
    """Yields the links of a page that lead nowhere."""
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


def main():
    found = [f"{page.relative_to(ROOT)}: {link}" for page in PAGES for link in dead(page)]
    if found:
        sys.exit("\n".join(["links that lead nowhere:", *found]))


main()
