"""MkDocs hooks: what lies outside ``docs/`` and yet belongs to the site.

CONTRIBUTING.md, CHANGELOG.md and SECURITY.md stay where GitHub looks for them and become pages.
Links between such a file, a page and the rest of the repository are written so that they work on
GitHub; here they are turned into links between pages, or to the repository (``extra.repository`` in
mkdocs.yml; not ``repo_url``, for which the theme would ask GitHub for the number of stars).
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

#: Top-level files that are pages too, and what each is called on the site.
TOP_LEVEL = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the top-level pages."""
    root = Path(config.docs_dir).parent
    for name, page in TOP_LEVEL.items():
        files.append(File.generated(config, page, abs_src_path=str(root / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrites the links that lead out of ``docs/``, or into it from a top-level file."""
    root = Path(config.docs_dir).parent
    origins = {site: name for name, site in TOP_LEVEL.items()}
    origin = origins.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def rewritten(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), match["target"]))
        if not (root / target).exists():
            raise PluginError(f"{origin}: a link leads to {target}, which does not exist")
        anchor = match["anchor"] or ""
        inside = TOP_LEVEL.get(target, target.removeprefix("docs/"))
        if files.get_file_from_path(inside) is not None:
            here = posixpath.dirname(page.file.src_uri) or "."
            return f"[{match['text']}]({posixpath.relpath(inside, here)}{anchor})"
        kind = "tree" if (root / target).is_dir() else "blob"
        return f"[{match['text']}]({config.extra['repository']}/{kind}/main/{target}{anchor})"

    parts = re.split(r"(^```.*?^```)", markdown, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [LINK.sub(rewritten, part) for part in parts[::2]]  # code is left as it is
    return "".join(parts)
