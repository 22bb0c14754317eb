"""Build the documentation as a site, from the pages that GitHub shows: `make docs`.

The pages are laid out in `build/docs/pages` as they lie in the repository, with the pictures and files they link to, so
that their links stay as they are. `docs/site.toml` says how they are ordered; the decision records are listed by it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "docs"
CONFIG = ROOT / "docs" / "site.toml"
RECORDS = "docs/decisions"
PLACEHOLDER = '"RECORDS"'
_PATTERNS = ("*.md", "docs/**/*.md", "generation/**/*.md", "packages/*/*.md", "packages/*/docs/*.md")
_ITEM = re.compile(r"(?:[-*]|\d+\.) ")
_FENCE = re.compile(r" *```")
REPAIRS = {
    '<nav class="md-path" aria-label="Navigation"': '<nav class="md-path" aria-label="Breadcrumb"',
    "<th></th>": "<td></td>",
}
"""In built pages, for those who hear them: two parts of the theme have one name, and an empty cell heads nothing."""
_LINK = re.compile(r"\]\(([^)#\s:]+)")


def list_pages() -> list[Path]:
    """Return every page of documentation in the repository."""
    return sorted(path for pattern in _PATTERNS for path in ROOT.glob(pattern))


def list_linked_files() -> set[Path]:
    """Return what the pages show or link to and is no page itself."""
    linked = ((page.parent / link).resolve() for page in list_pages() for link in _LINK.findall(_read(page)))
    return {path for path in linked if path.is_file() and path.suffix != ".md"}


def list_navigation() -> list[str]:
    """Return the pages of the navigation, in its order."""
    return list(_walk(tomllib.loads(_fill_in())["project"]["nav"]))


def _walk(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for each in entry.values() if isinstance(entry, dict) else entry:
            yield from _walk(each)


def _fill_in() -> str:
    """Return the configuration with every decision record in it, and first of them a list of all."""
    titles = {path.relative_to(ROOT).as_posix(): _read_title(path) for path in _list_records()}
    entries = [f'{{ "{path[len(RECORDS) + 1 :][:4]} {title}" = "{path}" }}' for path, title in titles.items()]
    return _read(CONFIG).replace(PLACEHOLDER, ", ".join([f'{{ "All" = "{RECORDS}/README.md" }}', *entries]))


def _list_records() -> list[Path]:
    return sorted((ROOT / RECORDS).glob("[0-9]*.md"))


def _read_title(record: Path) -> str:
    """Return the title without the number that some of them begin with."""
    return _read(record).partition("\n")[0].lstrip("#. 0123456789").replace('"', "'")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def adapt(text: str) -> str:
    """Return a page for Python-Markdown: an empty line before a list, and 4 spaces before what belongs to an item."""
    lines: list[str] = []
    fence: int | None = None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip(" "))
        if fence is None and _ITEM.match(line) and lines and lines[-1] and not _is_of_list(lines[-1]):
            lines.append("")
        moved = 2 <= (indent if fence is None else fence) <= 3
        lines.append(" " * (4 - (indent if fence is None else fence)) + line if moved and line else line)
        if _FENCE.match(line):
            fence = indent if fence is None else None
    return "\n".join(lines) + "\n"


def _is_of_list(line: str) -> bool:
    return line.startswith("  ") or _ITEM.match(line) is not None


def lay_out() -> None:
    """Write the pages, the files they link to, the list of decision records and the configuration."""
    shutil.rmtree(BUILD, ignore_errors=True)
    for path in (*list_pages(), *list_linked_files()):
        target = BUILD / "pages" / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            target.write_text(adapt(_read(path)), encoding="utf-8")
        else:
            shutil.copyfile(path, target)
    lines = [f"- [{path.stem[:4]}]({path.name}) {_read_title(path)}" for path in _list_records()]
    (BUILD / "pages" / RECORDS / "README.md").write_text("# Decisions\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    for name in ("site.css", "site.js"):
        shutil.copyfile(CONFIG.with_name(name), BUILD / "pages" / name)
    (BUILD / "zensical.toml").write_text(_fill_in(), encoding="utf-8")


def repair(site: Path) -> None:
    """Repair every built page."""
    for path in site.rglob("*.html"):
        text = _read(path)
        for found, instead in REPAIRS.items():
            text = text.replace(found, instead)
        path.write_text(text, encoding="utf-8")


class _Page(HTMLParser):
    """A built page: what it links to or loads, and the anchors it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(_read(path))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value}
        self.links += [found[name] for name in ("href", "src") if name in found and tag != "base"]
        self.anchors |= {found[name] for name in ("id", "name") if name in found}


def list_broken_links(site: Path) -> list[str]:
    """Return the links within a built site that lead to no file, or to no anchor of a page, and those it loads."""
    pages = {path: _Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    return [f"{path.relative_to(site)}: {link}" for path in pages for link in _list_broken(path, pages, site)]


def _list_broken(path: Path, pages: dict[Path, _Page], site: Path) -> Iterator[str]:
    for link in pages[path].links:
        address = urlsplit(link)
        if address.scheme or address.netloc:
            continue
        target = site / address.path[1:] if address.path.startswith("/") else path.parent / unquote(address.path)
        target = path if not address.path else target.resolve()
        target = target / "index.html" if target.is_dir() else target
        anchor = unquote(address.fragment)
        if not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors):
            yield link


def main() -> int:
    """Lay the pages out and build the site. Return 0 if there was nothing to warn of, and no link is broken."""
    lay_out()
    command = (sys.executable, "-m", "zensical", "build", "--strict", "--clean")
    if status := subprocess.run(command, cwd=BUILD, check=False).returncode:
        return status
    repair(BUILD / "site")
    broken = list_broken_links(BUILD / "site")
    sys.stdout.writelines(f"{line}\n" for line in (*broken, f"{len(broken)} broken links in {BUILD / 'site'}"))
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
