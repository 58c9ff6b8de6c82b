"""The provenance of figures: fingerprints of plugin sources, and installed versions."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from seqbench.errors import PluginError
from seqbench.plugins.choice import Choice
from seqbench.plugins.registry import GROUP

#: A module with more files is not a plugin's own: its version identifies it.
MOST_FILES = 500

#: Not covered, since a resume requires the same version (MACHINE in runner/resume/can_resume.py).
NOT_COVERED = {"seqbench", "torch"}


def source_of(import_path: str, distribution: str) -> str:
    """The fingerprint of a plugin: ten hexadecimal digits, ``""`` if no source can be read.

    It covers the Python source behind ``import_path``, which is not imported, and the installed
    versions of the requirements of ``distribution``, since an adapter's figures depend on the
    package that it wraps.
    The source is (:func:`_scope`):

    - the module, a file or a package folder, that an entry point of the distribution names, if it
      contains the function and imports nothing else of its outermost package; with the
      ``__init__.py`` of every package around it, which Python runs first;
    - otherwise the function's outermost package. If no entry point of the distribution contains
      it, the modules that its entry points name are also covered.

    Args:
        import_path: ``"package.module:function"``.
    """
    digest, found = hashlib.sha256(), False
    try:
        for name, content in _source(import_path.partition(":")[0], distribution):
            digest.update(f"{name} {len(content)}\n".encode())
            digest.update(content)
            found = True
    except OSError:
        return ""
    for name in _required(distribution):
        digest.update(f"{name} {version_of(name)}\n".encode())
        found = True
    return digest.hexdigest()[:10] if found else ""


def _source(function_module: str, distribution: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of each Python file, every file once. Raises OSError."""
    seen: set[Path] = set()
    for module in _scope(function_module, distribution):
        files = [(name, path) for name, path in _files(module) if path not in seen]
        seen.update(path for _, path in files)
        if len(files) <= MOST_FILES:
            yield from ((name, path.read_bytes()) for name, path in files)


def _scope(function_module: str, distribution: str) -> list[str]:
    """The modules that are the source of a plugin with its function in ``function_module``."""
    outermost = function_module.partition(".")[0]
    declared = _declared(distribution)
    around = [module for module in declared if _is_within(function_module, module)]
    if around:
        module = max(around, key=len)
        alone = module == outermost or not _imports_siblings(module)
        return [module if alone else outermost]
    return [outermost, *declared] if _files(outermost) else []


def _declared(distribution: str) -> list[str]:
    """The modules that the distribution's entry points name."""
    try:
        found = importlib.metadata.distribution(distribution).entry_points
    except importlib.metadata.PackageNotFoundError:
        return []
    return sorted({one.module for one in found if one.group == GROUP})


def _is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _files(module: str) -> list[tuple[str, Path]]:
    """Each Python file of a module, named relative to its outermost package. Imports nothing."""
    outermost, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(outermost)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return []
    roots = [Path(place) for place in spec.submodule_search_locations or ()]
    if not roots:
        return [(outermost, Path(spec.origin))] if spec.origin and not inner else []
    paths = [
        (root, path)
        for root in roots
        for path in [*_around(root, inner), *_python(root.joinpath(*inner))]
    ]
    return [(path.relative_to(root).as_posix(), path) for root, path in paths]


def _around(root: Path, inner: Sequence[str]) -> list[Path]:
    """The ``__init__.py`` of each package around a module."""
    paths = [root.joinpath(*inner[:depth], "__init__.py") for depth in range(len(inner))]
    return [path for path in paths if path.is_file()]


def _imports_siblings(module: str) -> bool:
    """Whether a module imports other parts of its outermost package, or cannot be parsed."""
    outermost = module.partition(".")[0]
    try:
        return any(
            _is_within(name, outermost) and not _is_within(name, module)
            for place, path in _files(module)
            for name in _imported(path.read_bytes(), f"{outermost}/{place}")
        )
    except SyntaxError:
        return True


def _imported(code: bytes, place: str) -> Iterator[str]:
    """The modules that a file imports; ``place`` is its path from above its outermost package."""
    package = place.split("/")[:-1]
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = [*above, *filter(None, [node.module])]
            yield from (".".join([*base, alias.name]) for alias in node.names)


def _required(distribution: str) -> list[str]:
    """The distributions that it requires, without extras."""
    if distribution in NOT_COVERED:
        return []
    try:
        required = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    names = [
        re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        for requirement in required
        if "extra ==" not in requirement
    ]
    return sorted({name.lower() for name in names} - NOT_COVERED)


def check_unchanged(choice: Choice) -> None:
    """Check that the installed plugin is the one that the run was planned with.

    Raises:
        PluginError: it was edited or replaced.
    """
    if change := change_of(choice):
        raise PluginError(
            f"{choice.name!r}: {choice.distribution} {choice.version} {change} during the run; "
            "resume it to use the new one (--resume)"
        )


def change_of(choice: Choice) -> str:
    """How the installed plugin differs from a choice, as words after its name, or ``""``."""
    now = version_of(choice.distribution)
    edited = choice.source and choice.source != source_of(choice.import_path, choice.distribution)
    if not edited and now in ("", choice.version):
        return ""
    replaced = now != choice.version
    return "was replaced" if replaced else "was edited, or its requirements were updated,"


def version_of(distribution: str) -> str:
    """The installed version; ``""`` if it is not installed, or its metadata is broken."""
    try:
        return importlib.metadata.version(distribution) or ""
    except (importlib.metadata.PackageNotFoundError, ValueError, TypeError, KeyError):
        return ""


def _python(place: Path) -> list[Path]:
    """The Python files of a module: those of its folder, or the file itself."""
    if place.is_dir():
        return sorted(place.rglob("*.py"))
    file = place.with_name(f"{place.name}.py")
    return [file] if file.is_file() else []
