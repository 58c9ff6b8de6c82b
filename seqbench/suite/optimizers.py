"""The optimizers, schedules and losses that a suite can name, with their parameters. No torch.

Names, types and defaults are those of torch. Not included: ``maximize``, the options that select
an implementation (``foreach``, ``fused``, ``capturable``, ``differentiable``), and optimizers that
need more than gradients (LBFGS), sparse ones (SparseAdam) or matrices only (Muon).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seqbench.plugins import parameters
from seqbench.types import Param


@dataclass(frozen=True)
class Kind:
    """An available optimizer, schedule or loss.

    Args:
        parameters: its parameters.
        required: those without a default.
        targets: of a loss: what the targets are that it is for (``Task.target_type``).
        later: parameters that were added later; left out of ids at their default.
    """

    parameters: Mapping[str, Param]
    required: tuple[str, ...] = ()
    description: str = ""
    targets: tuple[str, ...] = ()
    later: tuple[str, ...] = ()


@dataclass(frozen=True)
class Method:
    """An optimizer, schedule or loss in a suite, with the parameters given there."""

    name: str
    given: Mapping[str, Any] = field(default_factory=dict)

    def over(self, base: Method | None) -> Method:
        """This one, with the parameters of ``base`` as defaults if that has the same name."""
        if base is None or base.name != self.name:
            return self
        return Method(self.name, {**base.given, **self.given})


def _rate(default: float) -> Param:
    return Param(default, minimum=0, help="learning rate")


_DECAY = Param(0.0, minimum=0, help="weight decay")

_EPS = Param(1e-8, minimum=0, help="added to the denominator")

_BETAS = Param((0.9, 0.999), minimum=0, maximum=1, help="decay rates of the running averages")

_MOMENTUM = Param(0.0, minimum=0, help="fraction of the previous step")

_DECOUPLED = Param(False, help="decay weights as AdamW does")

_ADAM = {
    "lr": _rate(1e-3),
    "betas": _BETAS,
    "eps": _EPS,
    "weight_decay": _DECAY,
    "amsgrad": Param(False, help="use the maximum of past second moments"),
}

OPTIMIZERS: Mapping[str, Kind] = {
    "sgd": Kind(
        {
            "lr": _rate(1e-3),
            "momentum": _MOMENTUM,
            "dampening": Param(0.0, help="damping of the momentum"),
            "weight_decay": _DECAY,
            "nesterov": Param(False, help="Nesterov's momentum"),
        }
    ),
    "adam": Kind(_ADAM),
    "adamw": Kind({**_ADAM, "weight_decay": Param(0.01, minimum=0, help=_DECAY.help)}),
    "rmsprop": Kind(
        {
            "lr": _rate(1e-2),
            "alpha": Param(0.99, minimum=0, help="decay rate of the running average"),
            "eps": _EPS,
            "weight_decay": _DECAY,
            "momentum": _MOMENTUM,
            "centered": Param(False, help="scale by the estimated variance"),
        }
    ),
    "adagrad": Kind(
        {
            "lr": _rate(1e-2),
            "lr_decay": Param(0.0, minimum=0, help="decay of the learning rate"),
            "weight_decay": _DECAY,
            "initial_accumulator_value": Param(0.0, minimum=0, help="initial value of the sums"),
            "eps": Param(1e-10, minimum=0, help=_EPS.help),
        }
    ),
    "adadelta": Kind(
        {
            "lr": _rate(1.0),
            "rho": Param(0.9, minimum=0, maximum=1, help="decay rate of the running average"),
            "eps": Param(1e-6, minimum=0, help=_EPS.help),
            "weight_decay": _DECAY,
        }
    ),
    "nadam": Kind(
        {
            "lr": _rate(2e-3),
            "betas": _BETAS,
            "eps": _EPS,
            "weight_decay": _DECAY,
            "momentum_decay": Param(4e-3, minimum=0, help="decay of the momentum"),
            "decoupled_weight_decay": _DECOUPLED,
        }
    ),
    "radam": Kind(
        {
            "lr": _rate(1e-3),
            "betas": _BETAS,
            "eps": _EPS,
            "weight_decay": _DECAY,
            "decoupled_weight_decay": _DECOUPLED,
        }
    ),
    "adafactor": Kind(
        {
            "lr": _rate(1e-2),
            "beta2_decay": Param(-0.8, maximum=0, help="decay rate of the second moments"),
            "d": Param(1.0, minimum=1, help="threshold of update clipping"),
            "weight_decay": _DECAY,
        }
    ),
    "adamax": Kind({"lr": _rate(2e-3), "betas": _BETAS, "eps": _EPS, "weight_decay": _DECAY}),
    "asgd": Kind(
        {
            "lr": _rate(1e-2),
            "lambd": Param(1e-4, help="decay term"),
            "alpha": Param(0.75, help="exponent of the learning rate's decay"),
            "t0": Param(1e6, help="step at which averaging starts"),
            "weight_decay": _DECAY,
        }
    ),
    "rprop": Kind(
        {
            "lr": _rate(1e-2),
            "etas": Param((0.5, 1.2), minimum=0, help="factors of decrease and increase"),
            "step_sizes": Param((1e-6, 50.0), minimum=0, help="minimum and maximum step size"),
        }
    ),
}

_WARMUP = {"warmup": Param(0, minimum=0, help="steps of linear increase before the schedule")}

SCHEDULES: Mapping[str, Kind] = {
    "cosine": Kind(
        {"eta_min": Param(0.0, minimum=0, help="final learning rate"), **_WARMUP},
        description="decreases to eta_min along half a cosine",
        later=("warmup",),
    ),
    "constant": Kind(
        _WARMUP, required=("warmup",), description="the learning rate stays, after a warm-up"
    ),
    "linear": Kind(
        {"end_factor": Param(0.0, minimum=0, help="final factor of the rate"), **_WARMUP},
        description="decreases to end_factor times the learning rate along a line",
    ),
    "polynomial": Kind(
        {"power": Param(1.0, minimum=0, help="exponent"), **_WARMUP},
        description="decreases to zero along a power",
    ),
    "inverse_sqrt": Kind(
        {"warmup": Param(1, minimum=1, help="steps of linear increase")},
        required=("warmup",),
        description="increases, then decreases with the square root of the step",
    ),
    "cosine_restarts": Kind(
        {
            "T_0": Param(1, minimum=1, help="epochs until the first restart"),
            "T_mult": Param(1, minimum=1, help="factor of the epochs after each restart"),
            "eta_min": Param(0.0, minimum=0, help="lowest learning rate"),
            **_WARMUP,
        },
        required=("T_0",),
        description="cosine decreases, each from the full learning rate",
    ),
    "multi_step": Kind(
        {
            "milestones": Param([1], minimum=1, help="epochs after which it decreases"),
            "gamma": Param(0.1, minimum=0, help="factor of each decrease"),
            **_WARMUP,
        },
        required=("milestones",),
        description="multiplied by gamma after each of some epochs",
    ),
    "plateau": Kind(
        {
            "factor": Param(0.1, minimum=0, maximum=1, help="factor of each decrease"),
            "patience": Param(10, minimum=0, help="evaluations without improvement before it"),
            "threshold": Param(1e-4, minimum=0, help="relative improvement that counts"),
            "cooldown": Param(0, minimum=0, help="evaluations after a decrease that do not count"),
            "min_lr": Param(0.0, minimum=0, help="lowest learning rate"),
            **_WARMUP,
        },
        description="multiplied by factor when the validation loss no longer improves",
    ),
    "one_cycle": Kind(
        {
            "max_lr": Param(0.01, minimum=0, help="maximum learning rate"),
            "pct_start": Param(
                0.3, minimum=0, maximum=1, help="fraction of the steps with increasing rate"
            ),
            "div_factor": Param(
                25.0, minimum=1, help="max_lr divided by the initial learning rate"
            ),
            "final_div_factor": Param(
                1e4, minimum=1, help="initial learning rate divided by the final one"
            ),
            "cycle_momentum": Param(False, help="cycle the momentum inversely"),
        },
        required=("max_lr",),
        description="increases to max_lr and decreases again, once",
    ),
    "step": Kind(
        {
            "step_size": Param(1, minimum=1, help="epochs between two decreases"),
            "gamma": Param(0.1, minimum=0, help="factor of each decrease"),
            **_WARMUP,
        },
        required=("step_size",),
        description="multiplied by gamma every step_size epochs",
        later=("warmup",),
    ),
    "exponential": Kind(
        {"gamma": Param(0.9, minimum=0, help="factor of each epoch"), **_WARMUP},
        required=("gamma",),
        description="multiplied by gamma every epoch",
        later=("warmup",),
    ),
}


_OF_CLASSES = "a list with one number for each class, or balanced: from the training split"

LOSSES: Mapping[str, Kind] = {
    "cross_entropy": Kind(
        {
            "label_smoothing": Param(0.0, minimum=0, maximum=1, help="share of the other classes"),
            "class_weights": Param(None, help=_OF_CLASSES),
        },
        description="cross-entropy of the softmax",
        targets=("label",),
    ),
    "multi_margin": Kind(
        {
            "p": Param(1, choices=(1, 2), help="exponent"),
            "margin": Param(1.0, help="margin"),
        },
        description="multi-class hinge loss",
        targets=("label",),
    ),
    "bce": Kind(
        {"pos_weight": Param(None, help=f"of positive labels: {_OF_CLASSES}")},
        description="binary cross-entropy of the sigmoid, mean over labels",
        targets=("labels",),
    ),
    "mse": Kind({}, description="squared error", targets=("value",)),
    "mae": Kind({}, description="absolute error", targets=("value",)),
    "huber": Kind(
        {"delta": Param(1.0, minimum=1e-12, help="error from which it is linear")},
        description="squared for small errors, linear for large ones",
        targets=("value",),
    ),
    "smooth_l1": Kind(
        {"beta": Param(1.0, minimum=0, help="error from which it is linear")},
        description="Huber's loss divided by beta",
        targets=("value",),
    ),
    "quantile": Kind(
        {"q": Param(0.5, minimum=0, maximum=1, help="the quantile to estimate")},
        description="pinball loss",
        targets=("value",),
    ),
    "log_cosh": Kind({}, description="logarithm of the error's hyperbolic cosine",
                     targets=("value",)),
    "poisson_nll": Kind(
        {"log_input": Param(True, help="whether the model answers with the logarithm of the mean")},
        description="negative log-likelihood of counts",
        targets=("value",),
    ),
}  # fmt: skip


#: What a suite can name, by the key of ``train``.
METHODS = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "loss": LOSSES}


def loss_problem(loss: Method, target: str) -> str:
    """Why a loss is not for targets of this kind (of :class:`seqbench.Task`), or ``""``."""
    target_type = target.removesuffix("_per_step")
    supported = LOSSES[loss.name].targets
    if target_type in supported:
        return ""
    fitting = ", ".join(name for name, kind in LOSSES.items() if target_type in kind.targets)
    return f"{loss.name} is for targets of the kind {supported[0]}, not {target}: use {fitting}"


def problem_with(value: Any, declared: Param) -> str:
    """Like :func:`.parameters.problem_with`; a list is checked item by item."""
    problem = parameters.problem_with(value, declared)
    if not problem and isinstance(declared.default, list) and not declared.choices:
        return _list_problem(value, declared)
    if problem or not isinstance(declared.default, tuple):
        return problem
    if len(value) != len(declared.default):
        return f"{value!r} is a list of length {len(value)}, not {len(declared.default)}"
    for item, default in zip(value, declared.default, strict=True):
        limits = Param(default, minimum=declared.minimum, maximum=declared.maximum)
        if problem := parameters.problem_with(item, limits):
            return problem
    return ""


def _list_problem(value: list[Any], declared: Param) -> str:
    """Like :func:`problem_with`, for a list of any length."""
    if not declared.default or declared.minimum is declared.maximum is None:
        return ""
    for item in value:
        limits = Param(declared.default[0], minimum=declared.minimum, maximum=declared.maximum)
        if problem := parameters.problem_with(item, limits):
            return problem
    return ""


def missing(method: Method, kinds: Mapping[str, Kind]) -> list[str]:
    """The required parameters that ``method`` does not give."""
    return [name for name in kinds[method.name].required if name not in method.given]


def conflict(
    optimizer: Method, schedule: Method | None, groups: Mapping[str, Mapping[str, float]]
) -> str:
    """Why torch would reject this combination, or ``""``."""
    params = resolved(optimizer, OPTIMIZERS)["params"]
    for pattern, own in groups.items():
        for name, value in own.items():
            if name not in params:
                return f"{optimizer.name} has no parameter {name!r}, as in groups: {pattern}"
            if problem := problem_with(value, OPTIMIZERS[optimizer.name].parameters[name]):
                return f"groups: {pattern}: {name}: {problem}"
        if "lr" in own and schedule is not None and schedule.name == "one_cycle":
            return f"one_cycle sets the learning rate of all weights, as of groups: {pattern}"
    if params.get("nesterov") and (params["momentum"] <= 0 or params["dampening"] != 0):
        return "nesterov needs a momentum above 0 and a dampening of 0"
    cycles = schedule is not None and schedule.given.get("cycle_momentum", False)
    if cycles and not {"momentum", "betas"} & set(params):
        return f"cycle_momentum needs an optimizer with momentum or betas, not {optimizer.name}"
    return ""


def resolved(method: Method, kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """``{"name", "params"}`` as plain data, with all defaults."""
    declared = kinds[method.name].parameters
    params = parameters.completed(method.given, declared)
    for name in kinds[method.name].later:
        if params[name] == declared[name].default:
            del params[name]
    for name, param in declared.items():
        if isinstance(param.default, tuple):
            params[name] = [float(number) for number in params[name]]
    return {"name": method.name, "params": params}
