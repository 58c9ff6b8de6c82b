"""Plugins: found through entry points; a broken one does not affect others."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pluggy
import pytest
from conftest import ROOT, install, runner_environment
from test_streams import TINY

from seqbench import DatasetSpec, MetricSpec, ModelSpec, ReportSpec
from seqbench.errors import UnknownName
from seqbench.plugins.choice import Choice, to_json
from seqbench.plugins.discovery import load_plugins
from seqbench.plugins.hookspecs import hookimpl, hookspec
from seqbench.plugins.provenance import version_of
from seqbench.plugins.registry import GROUP, Offer, Origin

GOOD = """
    import seqbench

    @seqbench.hookimpl
    def seqbench_models():
        return [seqbench.ModelSpec({name!r}, build="somewhere:build")]
    """

BROKEN = {
    "import error": ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
    "exit at import": ("raise SystemExit(0)", "SystemExit"),
    "raising hook": (
        """
        import seqbench

        @seqbench.hookimpl
        def seqbench_models():
            raise RuntimeError("not today")
        """,
        "not today",
    ),
    "misspelled hook": (
        """
        import seqbench

        @seqbench.hookimpl
        def seqbench_modles():
            return []
        """,
        "did you mean 'seqbench_models'?",
    ),
    "forgotten decorator": (
        """
        def seqbench_models():
            return []
        """,
        "lacks the decorator @seqbench.hookimpl",
    ),
    "wrong argument": (
        """
        import seqbench

        @seqbench.hookimpl
        def seqbench_models(config):
            return []
        """,
        "config",
    ),
    "wrong return type": (
        """
        import seqbench

        @seqbench.hookimpl
        def seqbench_models():
            return {"mine": "mine:build"}
        """,
        "returned dict, not a list of ModelSpec",
    ),
    "wrong item type": (
        """
        import seqbench

        @seqbench.hookimpl
        def seqbench_models():
            return ["mine"]
        """,
        "returned a list with str in it, not ModelSpec",
    ),
    "bad name": (GOOD.format(name="a b"), "model name 'a b'"),
    "offers nothing": (
        "import seqbench",
        "offers no model, no dataset, no metric, no report, no runtime, no loss, no optimizer, "
        "no schedule",
    ),
}


def test_what_ships_with_seqbench_is_found_through_entry_points() -> None:
    registry = load_plugins()
    assert {"rnn", "lstm", "gru"} <= {offer.spec.name for offer in registry.models}
    names = {offer.spec.name for offer in registry.datasets}
    assert {"fashion_mnist", "mnist", "kmnist", "adding", "parity"} <= names
    assert registry.model("lstm").origin.distribution == "seqbench"
    assert registry.model("seqbench:lstm").spec.parameters["hidden_size"].default == 128


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_plugin_is_listed_with_its_reason_and_affects_no_other(
    site: Path, fault: str
) -> None:
    code, reason = BROKEN[fault]
    install(site, "sick-plugin", {"sick": code}, "sick = sick", version="3.2")
    registry = load_plugins()
    (sick,) = [p for p in registry.plugins if p.origin.distribution == "sick-plugin"]
    assert reason in sick.error
    assert str(sick.origin) == "sick-plugin 3.2"
    assert "\n" not in sick.error
    assert registry.model("lstm").spec.name == "lstm"


def test_a_clash_is_an_error_only_when_the_name_is_used(site: Path) -> None:
    install(site, "other-lstm", {"other": GOOD.format(name="lstm")}, "recurrent = other")
    registry = load_plugins()
    with pytest.raises(UnknownName, match=r"other-lstm 1.0 and seqbench .*'other-lstm:lstm' or"):
        registry.model("lstm")
    assert registry.model("other_lstm:lstm").origin.distribution == "other-lstm"
    assert registry.model("seqbench:lstm").origin.distribution == "seqbench"
    assert registry.model("gru").spec.name == "gru"
    (other,) = [p for p in registry.plugins if p.origin.distribution == "other-lstm"]
    assert registry.clashes(other) == [
        f"model 'lstm' is also offered by {registry.model('gru').origin}: write 'other-lstm:lstm'"
    ]


def test_an_unknown_name_suggests_the_nearest_one() -> None:
    with pytest.raises(UnknownName, match=r"unknown model 'lsmt'; did you mean 'lstm'\?"):
        load_plugins().model("lsmt")


def test_an_unknown_name_of_a_broken_plugin_shows_the_reason(site: Path) -> None:
    install(
        site, "mamba", {"broken_mamba": "import no_such_module_anywhere"}, "mamba = broken_mamba"
    )
    with pytest.raises(
        UnknownName, match=r"plugin mamba 1\.0 is broken: .*no_such_module_anywhere"
    ):
        load_plugins().model("mamba")


def test_the_plugins_command_shows_broken_ones(
    site: Path, seqbench_cli: Callable[..., Any]
) -> None:
    install(site, "sick-plugin", {"sick": "import no_such_module_anywhere"}, "sick = sick")
    shown = seqbench_cli("plugins")
    assert shown.returncode == 0
    for expected in ("sick-plugin 1.0", "broken", "no_such_module_anywhere", "rnn, lstm, gru"):
        assert expected in shown.stdout
    models = seqbench_cli("models")
    assert models.returncode == 0
    assert "lstm" in models.stdout
    assert "sick-plugin" in models.stderr


def test_one_distribution_that_offers_a_name_twice_keeps_the_first(site: Path) -> None:
    code = {"first": GOOD.format(name="twin"), "second": GOOD.format(name="twin")}
    install(site, "twins", code, "a = first\nb = second")
    registry = load_plugins()
    assert registry.model("twin").origin.entry_point == "a"
    (second,) = [p for p in registry.plugins if p.origin.entry_point == "b"]
    assert second.error == "model 'twin' is already offered by 'a'"


def test_what_a_plugin_prints_does_not_reach_stdout(
    site: Path, seqbench_cli: Callable[..., Any]
) -> None:
    code = "print('noisy at import')" + GOOD.format(name="noisy").replace("\n    ", "\n")
    install(site, "noisy", {"noisy": code}, "noisy = noisy")
    done = seqbench_cli("schema")
    assert done.stdout.startswith("{")
    assert "noisy at import" in done.stderr


def test_a_disabled_plugin_is_not_even_imported(
    site: Path, seqbench_cli: Callable[..., Any], tmp_path: Path
) -> None:
    code = (
        textwrap.dedent(GOOD.format(name="nice")) + f"open({str(tmp_path / 'imported')!r}, 'w')\n"
    )
    install(site, "good-models", {"good": code}, "good = good")
    for name in ("good", "Good_Models"):
        listed = seqbench_cli("--no-plugin", name, "plugins").stdout
        assert "disabled" in listed
        assert not (tmp_path / "imported").exists()
    missing = seqbench_cli("--no-plugin", "good", "check", "nice")
    assert "disabled plugins: good-models 1.0" in missing.stderr
    wrong = seqbench_cli("--no-plugin", "goood", "plugins")
    assert wrong.returncode == 2
    assert "cannot disable unknown plugin 'goood'; did you mean 'good'?" in wrong.stderr
    seqbench_cli("plugins")
    assert (tmp_path / "imported").exists()


def test_strict_makes_a_broken_plugin_an_error(
    site: Path, seqbench_cli: Callable[..., Any]
) -> None:
    install(site, "broken", {"broken": "import nowhere"}, "broken = broken")
    assert seqbench_cli("models").returncode == 0
    done = seqbench_cli("--strict", "models")
    assert done.returncode == 1
    assert "plugin broken 1.0 is broken: ModuleNotFoundError" in done.stderr


def test_a_plugin_that_needs_later_hooks_is_broken_with_that_reason(
    site: Path, seqbench_cli: Callable[..., Any]
) -> None:
    later = "SEQBENCH_API = 6\n" + textwrap.dedent(GOOD.format(name="later"))
    same = "SEQBENCH_API = 5\n" + textwrap.dedent(GOOD.format(name="same"))
    install(site, "later", {"later": later}, "later = later")
    install(site, "same", {"same": same}, "same = same")
    listed = " ".join(seqbench_cli("plugins").stdout.split())
    assert (
        "it needs version 6 of the hooks, but seqbench 0.1.0 has version 5: upgrade seqbench"
        in listed
    )
    done = seqbench_cli("models")
    assert "same" in done.stdout
    assert "upgrade seqbench" in done.stderr


def test_a_plugin_that_imports_a_later_name_suggests_to_upgrade(
    site: Path, seqbench_cli: Callable[..., Any]
) -> None:
    install(site, "newer", {"newer": "from seqbench import NothingYet"}, "newer = newer")
    install(site, "odd", {"odd": "import seqbench\nSEQBENCH_API = '3'"}, "odd = odd")
    listed = " ".join(seqbench_cli("plugins").stdout.split())
    assert "cannot import name 'NothingYet'" in listed
    assert "it may need a later seqbench than 0.1.0: upgrade seqbench" in listed
    assert "SEQBENCH_API is '3', not a whole number" in listed


def test_a_dataset_called_like_a_model_can_be_named(site: Path) -> None:
    both = (
        GOOD.format(name="twin")
        + """
    @seqbench.hookimpl
    def seqbench_datasets():
        return [seqbench.DatasetSpec("lstm", load="somewhere:load")]
    """
    )
    install(site, "both", {"both": both}, "both = both")
    registry = load_plugins()
    assert registry.offer("both:lstm").kind == "dataset"
    assert registry.offer("lstm").kind == "model"


def test_an_old_plugin_works_where_a_hook_has_gained_an_argument() -> None:
    """As in a later seqbench, whose hook has an argument that the plugin does not know."""

    class Later:
        @staticmethod
        @hookspec
        def seqbench_models(context: str) -> list[ModelSpec]:
            return []

    class Old:
        @staticmethod
        @hookimpl
        def seqbench_models() -> list[ModelSpec]:
            return [ModelSpec("old", build="old:build")]

    class New:
        @staticmethod
        @hookimpl
        def seqbench_models(context: str) -> list[ModelSpec]:
            return [ModelSpec(context, build="new:build")]

    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(Later)
    manager.register(Old)
    manager.register(New)
    manager.check_pending()
    found = manager.hook.seqbench_models(context="given")
    assert sorted(spec.name for [spec] in found) == ["given", "old"]


def broken_metadata(site: Path) -> None:
    """Distributions that have nothing to do with seqbench, and what pip left of one that has."""
    for name, files in {
        "latin-1.0": {"METADATA": b"Name: latin\nVersion: 1.0\nAuthor: Ren\xe9\n"},
        "noequals-1.0": {"METADATA": b"Name: noequals\nVersion: 1.0\n",
                         "entry_points.txt": b"[console_scripts]\nnoequals\n"},
        "noversion": {"METADATA": b"Name: noversion\n",
                      "entry_points.txt": b"[seqbench]\nnoversion = noversion\n"},
        "~eqbench-0.0.1": {"METADATA": b"Name: seqbench\nVersion: 0.0.1\n",
                           "entry_points.txt": b"[seqbench]\nold = removed\n"},
    }.items():  # fmt: skip
        folder = site / f"{name}.dist-info"
        folder.mkdir()
        for file, content in files.items():
            (folder / file).write_bytes(content)


@pytest.mark.slow
def test_packages_with_broken_metadata_are_passed_over(
    site: Path, write_suite: Callable[[str], Path], seqbench_program: Callable[..., Any]
) -> None:
    """Even torch and pydantic cannot be imported beside a broken ``entry_points.txt``."""
    broken_metadata(site)
    listed = seqbench_program("plugins")
    ignored = f"ignored, as its metadata is broken: {site}/"
    lines = [line for line in listed.stdout.splitlines() if line.startswith("ignored")]
    assert sorted(line.removeprefix(ignored).split(": ")[0] for line in lines) == [
        "latin-1.0.dist-info", "noequals-1.0.dist-info", "noversion.dist-info"
    ]  # fmt: skip
    assert "noversion.dist-info: METADATA has no Version" in listed.stdout
    assert " 0.0.1 " not in listed.stdout
    assert version_of("latin") == ""
    done = seqbench_program("run", write_suite(TINY.replace("MODEL", "gru")), "--json")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    unknown = seqbench_program("check", "mine")
    assert "some packages have unreadable metadata (see `seqbench plugins`)" in unknown.stderr


def test_the_tests_see_only_the_plugins_that_they_install(site: Path, tmp_path: Path) -> None:
    """Whatever else is installed: here, a package that clashes with theirs and with ours."""
    install(site, "mamba", {"taken": GOOD.format(name="mamba")}, "mamba = taken")
    install(site, "other-gru", {"gru_too": GOOD.format(name="gru")}, "gru = gru_too")
    tests = "test_a_clash_is or test_an_unknown_name_of_a_broken"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", __file__, "-k", tests]
    done = subprocess.run(
        command, cwd=ROOT, env=runner_environment(tmp_path), capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert (done.returncode, "2 passed" in done.stdout) == (0, True), done.stdout


def test_lengths_are_declared_by_whole_models_only_and_stay_out_of_ids_at_their_default() -> None:
    with pytest.raises(ValueError, match="model 'm': lengths is 'short', not 'any', 'bounded' or"):
        ModelSpec("m", "a:b", kind="model", lengths="short")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"an encoder with lengths='fixed' .*: declare kind='mod"):
        ModelSpec("m", "a:b", lengths="fixed")
    origin = Origin("test", "test", "1")
    for lengths in ("any", "fixed"):
        spec = ModelSpec("m", "a:b", kind="model", lengths=lengths)
        stored = to_json(Choice.of(Offer(spec, origin), {}))
        assert stored.get("lengths", "any") == lengths
        assert ("lengths" in stored) == (lengths != "any")


@pytest.mark.parametrize(
    ("kind", "spec", "reserved"),
    [
        ("model", ModelSpec, ("input_size", "readout", "embedding_size", "self")),
        ("model", partial(ModelSpec, kind="model"), ("task", "self")),
        ("dataset", DatasetSpec, ("context", "self")),
        ("metric", MetricSpec, ("task", "self")),
        ("report", ReportSpec, ("document", "self")),
    ],
    ids=["encoder", "model", "dataset", "metric", "report"],
)
def test_a_parameter_that_seqbench_passes_itself_is_refused_when_declared(
    kind: str, spec: Callable[..., Any], reserved: tuple[str, ...]
) -> None:
    for name in reserved:
        with pytest.raises(
            ValueError, match=rf"^{kind} 'mine': the parameter name '{name}' is reserved \(.*name$"
        ):
            spec("mine", "a:b", {name: 1})
    for invalid in ("hidden-size", "lambda", "", 3):
        with pytest.raises(ValueError, match=f"^{kind} 'mine': invalid parameter name {invalid!r}"):
            spec("mine", "a:b", {invalid: 1})
    free = {"name", "choice", "function", "kind", "device", "params", "given"}
    made = spec("mine", "a:b", dict.fromkeys(free, 1))
    assert free <= set(replace(made, name="other").parameters)


@pytest.mark.slow
def test_threads_that_load_plugins_leave_stdout_as_it_was() -> None:
    before, interval = sys.stdout, sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: load_plugins(), range(40)))
    finally:
        sys.setswitchinterval(interval)
    assert sys.stdout is before
