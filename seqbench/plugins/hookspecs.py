"""The hooks that a plugin package can implement.

A package declares itself with an entry point in the group ``seqbench``::

    [project.entry-points.seqbench]
    my_models = "my_package"

and ``my_package`` implements one or more hooks::

    import seqbench

    @seqbench.hookimpl
    def seqbench_models():
        return [seqbench.ModelSpec("mine", build="my_package.layer:Mine",
                                   parameters={"hidden_size": 100})]
"""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from seqbench.types import (
    DatasetSpec,
    LossSpec,
    MetricSpec,
    ModelSpec,
    OptimizerSpec,
    ReportSpec,
    RuntimeSpec,
    ScheduleSpec,
)

#: Version of the hooks. A plugin that needs a certain version declares it beside its hooks, as
#: ``SEQBENCH_API = 5``. Older plugins keep working: a hook may gain arguments, which plugins need
#: not accept, but never loses any.
API = 5

hookspec = pluggy.HookspecMarker("seqbench")

hookimpl = pluggy.HookimplMarker("seqbench")


@hookspec
def seqbench_models() -> Sequence[ModelSpec]:  # type: ignore[empty-body]
    """The models this package offers. Called often: import nothing heavy here.

    ::

        @seqbench.hookimpl
        def seqbench_models():
            return [seqbench.ModelSpec("mine", build="my_package.layer:Mine",
                                       parameters={"hidden_size": 100})]
    """


@hookspec
def seqbench_datasets() -> Sequence[DatasetSpec]:  # type: ignore[empty-body]
    """The datasets this package offers. Called often: import nothing heavy here.

    ::

        @seqbench.hookimpl
        def seqbench_datasets():
            return [seqbench.DatasetSpec("copy", load="my_package.copy:load",
                                         parameters={"length": 20, "seed": 0})]
    """


@hookspec
def seqbench_metrics() -> Sequence[MetricSpec]:  # type: ignore[empty-body]
    """The metrics this package offers (hooks version 2). Called often: import nothing heavy here.

    ::

        @seqbench.hookimpl
        def seqbench_metrics():
            return [seqbench.MetricSpec("macro_f1", build="my_package.f1:macro_f1", share=True)]
    """


@hookspec
def seqbench_reports() -> Sequence[ReportSpec]:  # type: ignore[empty-body]
    """The reports this package offers (hooks version 2). Called often: import nothing heavy here.

    ::

        @seqbench.hookimpl
        def seqbench_reports():
            return [seqbench.ReportSpec("winners", render="my_package.winners:text", suffix="md")]
    """


@hookspec
def seqbench_runtimes() -> Sequence[RuntimeSpec]:  # type: ignore[empty-body]
    """The runtimes this package offers (hooks version 3). Called often: import nothing heavy here.

    ::

        @seqbench.hookimpl
        def seqbench_runtimes():
            return [seqbench.RuntimeSpec("exported", prepare="my_package.exported:prepare")]
    """


@hookspec
def seqbench_losses() -> Sequence[LossSpec]:  # type: ignore[empty-body]
    """The losses this package offers (hooks version 5). Called often: import nothing heavy here.

    ::

        @seqbench.hookimpl
        def seqbench_losses():
            return [seqbench.LossSpec("focal", build="my_package.focal:focal",
                                      parameters={"gamma": 2.0})]
    """


@hookspec
def seqbench_optimizers() -> Sequence[OptimizerSpec]:  # type: ignore[empty-body]
    """The optimizers this package offers (hooks version 5). Called often: import nothing heavy.

    ::

        @seqbench.hookimpl
        def seqbench_optimizers():
            return [seqbench.OptimizerSpec("lion", build="my_package.lion:Lion",
                                           parameters={"lr": 1e-4})]
    """


@hookspec
def seqbench_schedules() -> Sequence[ScheduleSpec]:  # type: ignore[empty-body]
    """The schedules this package offers (hooks version 5). Called often: import nothing heavy here.

    ::

        @seqbench.hookimpl
        def seqbench_schedules():
            return [seqbench.ScheduleSpec("trapezoid", build="my_package.rates:trapezoid",
                                          parameters={"flat": 0.5})]
    """
