"""The optimizers, schedules and losses that a suite can name, with their parameters. No torch.

Names, types and defaults are those of torch. Not included: ``maximize``, the options that select
an implementation (``foreach``, ``fused``, ``capturable``, ``differentiable``), and optimizers that
need more than gradients (LBFGS) or sparse ones (SparseAdam). Others come from plugins.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seqbench.plugins import parameters
from seqbench.plugins.choice import Choice, to_json
from seqbench.plugins.registry import Offer
from seqbench.types import SCHEDULE_PARAMETERS, Param


@dataclass(frozen=True)
class Kind:
    """An available optimizer, schedule or loss.

    Args:
        parameters: its parameters.
        required: those without a default.
        targets: of a loss: what the targets are that it is for (``Task.target_type``).
        later: parameters that were added later; left out of ids at their default.
        optimizers: parameters that name another optimizer.
    """

    parameters: Mapping[str, Param]
    required: tuple[str, ...] = ()
    description: str = ""
    targets: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    optimizers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Method:
    """An optimizer, schedule or loss in a suite, with the parameters given there.

    Args:
        given: a parameter that names another optimizer has a ``Method`` as its value.
        offer: that of a plugin; None for seqbench's own.
        source: the fingerprint of the plugin's source.
    """

    name: str
    given: Mapping[str, Any] = field(default_factory=dict)
    offer: Offer[Any] | None = field(default=None, compare=False)
    source: str = ""

    def over(self, base: Method | None) -> Method:
        """This one, with the parameters of ``base`` as defaults if that has the same name."""
        if base is None or (base.name, base._distribution) != (self.name, self._distribution):
            return self
        own = {
            key: value.over(base.given.get(key)) if isinstance(value, Method) else value
            for key, value in self.given.items()
        }
        return dataclasses.replace(self, given={**base.given, **own})

    @property
    def _distribution(self) -> str:
        return "" if self.offer is None else self.offer.origin.distribution

    def kind(self, own: Mapping[str, Kind]) -> Kind:
        """What is declared of it.

        Args:
            own: those of seqbench itself.
        """
        if self.offer is None:
            return own[self.name]
        spec = self.offer.spec
        targets = tuple(getattr(spec, "targets", ()))
        return Kind(spec.parameters, description=spec.description, targets=targets)


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
    "muon": Kind(
        {
            "lr": _rate(1e-3),
            "weight_decay": Param(0.1, minimum=0, help=_DECAY.help),
            "momentum": Param(0.95, minimum=0, help=_MOMENTUM.help),
            "nesterov": Param(True, help="Nesterov's momentum"),
            "ns_coefficients": Param(
                (3.4445, -4.775, 2.0315), help="coefficients of the Newton-Schulz iteration"
            ),
            "eps": Param(1e-7, minimum=0, help=_EPS.help),
            "ns_steps": Param(5, minimum=1, maximum=99, help="Newton-Schulz iterations"),
            "adjust_lr_fn": Param(
                "original",
                choices=("original", "match_rms_adamw"),
                help="how the learning rate depends on the shape of a matrix",
            ),
            "others": Param("adamw", help="optimizer of all weights but hidden matrices"),
            "exclude": Param([], help="patterns of names of further weights for the other one"),
        },
        description="Muon for hidden matrices, another optimizer for all other weights",
        optimizers=("others",),
    ),
}

_WARMUP = SCHEDULE_PARAMETERS

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
    "cyclic": Kind(
        {
            "base_lr": Param(1e-4, minimum=0, help="lowest learning rate"),
            "max_lr": Param(0.01, minimum=0, help="highest learning rate"),
            "step_size_up": Param(2.0, minimum=0, help="epochs from the lowest to the highest"),
            "mode": Param(
                "triangular",
                choices=("triangular", "triangular2", "exp_range"),
                help="highest rate: constant, halved after each cycle, or times gamma each step",
            ),
            "gamma": Param(1.0, minimum=0, help="factor of each step, for exp_range"),
            "cycle_momentum": Param(False, help="cycle the momentum inversely"),
        },
        required=("base_lr", "max_lr"),
        description="increases to max_lr and decreases to base_lr, again and again",
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


def loss_problem(name: str, supported: Sequence[str], target: str) -> str:
    """Why a loss is not for targets of this kind (of :class:`seqbench.Task`), or ``""``.

    Args:
        supported: what the targets are that it is for.
    """
    target_type = target.removesuffix("_per_step")
    if target_type in supported:
        return ""
    fitting = ", ".join(name for name, kind in LOSSES.items() if target_type in kind.targets)
    what = " or ".join(supported)
    return f"{name} is for targets of the kind {what}, not {target}: use {fitting}"


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
    return [name for name in method.kind(kinds).required if name not in method.given]


#: Schedules that set the learning rate itself, instead of changing that of the optimizer.
SET_THE_RATE = ("one_cycle", "cyclic")


def conflict(
    optimizer: Method, schedule: Method | None, groups: Mapping[str, Mapping[str, float]]
) -> str:
    """Why torch would reject this combination, or ``""``."""
    used = [optimizer, *_inner(optimizer, OPTIMIZERS)]
    own = schedule if schedule is not None and schedule.offer is None else Method("")
    sets_rate = own.name in SET_THE_RATE
    for pattern, group in groups.items():
        for name, value in group.items():
            if problem := _group_problem(used, name, value, pattern):
                return problem
        if "lr" in group and sets_rate:
            return f"{own.name} sets the learning rate of all weights, as of groups: {pattern}"
    if sets_rate and len(used) > 1:
        return f"{own.name} sets one learning rate for all weights, but {optimizer.name} has two"
    params = resolved(optimizer, OPTIMIZERS)["params"]
    needs_momentum = optimizer.name == "sgd" and optimizer.offer is None and params["nesterov"]
    if needs_momentum and (params["momentum"] <= 0 or params["dampening"] != 0):
        return "nesterov needs a momentum above 0 and a dampening of 0"
    cycles = own.given.get("cycle_momentum", False)
    if cycles and not {"momentum", "betas"} & set(params):
        return f"cycle_momentum needs an optimizer with momentum or betas, not {optimizer.name}"
    return ""


def _inner(method: Method, kinds: Mapping[str, Kind]) -> list[Method]:
    """The other optimizers that an optimizer uses."""
    kind = method.kind(kinds)
    named = [method.given.get(name, kind.parameters[name].default) for name in kind.optimizers]
    return [one if isinstance(one, Method) else Method(one) for one in named]


def _group_problem(used: Sequence[Method], name: str, value: float, pattern: str) -> str:
    """Why a group cannot give a parameter of some optimizers this value, or ``""``."""
    declared = [one.kind(OPTIMIZERS).parameters for one in used]
    if not any(name in params for params in declared):
        names = " and ".join(one.name for one in used)
        verb = "has" if len(used) == 1 else "have"
        return f"{names} {verb} no parameter {name!r}, as in groups: {pattern}"
    found = (problem_with(value, params[name]) for params in declared if name in params)
    problem = next(filter(None, found), "")
    return f"groups: {pattern}: {name}: {problem}" if problem else ""


def resolved(method: Method, kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """``{"name", "params"}`` as plain data, with all defaults; of a plugin also its origin."""
    kind = method.kind(kinds)
    declared = kind.parameters
    params = parameters.completed(method.given, declared)
    for name in kind.later:
        if params[name] == declared[name].default:
            del params[name]
    for name, param in declared.items():
        if isinstance(param.default, tuple):
            params[name] = [
                float(number) if isinstance(default, float) else number
                for number, default in zip(params[name], param.default, strict=True)
            ]
    for name, other in zip(kind.optimizers, _inner(method, kinds), strict=True):
        params[name] = resolved(other, OPTIMIZERS)
    if method.offer is None:
        return {"name": method.name, "params": params}
    targets = {"targets": list(kind.targets)} if kind.targets else {}
    return {**to_json(Choice.of(method.offer, params, method.source)), **targets}
