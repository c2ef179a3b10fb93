"""Fails where a link of a page leads to no file or heading, or where a page or a comment names a file that isn't there.

Pages are the Markdown files at the top, under docs/, and the model's card. A file's name counts where it stands in
backticks and begins with a folder of the repository.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "model/README.md"]
# What a build or a script makes, and names that stand for any file.
MADE = re.compile(r"^(target|\.local|\.venv|model/work)/|[<>{}*…]")
NAMED = re.compile(r"`((?:docs|events|functions|local|model|shared|tests|tools|web)/[^`\s:]*)`")


def prose(page):
    """Returns a page's text without its code."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page):
    """Returns the anchors that GitHub gives to a page's headings, and those that the page sets itself."""
    headings = re.findall(r"^#+ +(.*)$", page.read_text(), re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)"', page.read_text()))


def dead_links(page):
    """Yields the links of a page that lead nowhere."""
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)) + re.findall(r'(?:src|href)="([^"]+)"', prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


def missing_files(source):
    """Yields the names of files that a page or a source names in backticks, and that aren't there."""
    for name in NAMED.findall(source.read_text(errors="replace")):
        if not MADE.search(name) and not (ROOT / name).exists():
            yield name


def sources():
    """Returns every source, page and configuration that git knows or would add."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    kinds = (".rs", ".md", ".py", ".yaml", ".yml", ".toml", ".lua", ".sh")
    paths = [ROOT / file for file in files if file.endswith(kinds) or "." not in pathlib.Path(file).name]
    # The changelog tells of what was.
    return [path for path in paths if path.is_file() and path.name != "CHANGELOG.md"]


def main():
    links = [f"{page.relative_to(ROOT)}: {link}" for page in PAGES for link in dead_links(page)]
    files = [f"{source.relative_to(ROOT)}: {name}" for source in sources() for name in missing_files(source)]
    if links or files:
        sys.exit("\n".join(["links and names of files that lead nowhere:", *links, *files]))


main()
