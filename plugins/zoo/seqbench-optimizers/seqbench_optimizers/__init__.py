import seqbench

SEQBENCH_API = 5

RATE = {"minimum": 0, "help": "learning rate"}
BETAS = {"minimum": 0, "maximum": 1, "help": "decay rates of the running averages"}
DECAY = {"minimum": 0, "help": "decoupled weight decay"}


def offer(name, lr, betas, weight_decay, description, **more):
    return seqbench.OptimizerSpec(
        name,
        build=f"seqbench_optimizers.build:{name}",
        parameters={
            "lr": seqbench.Param(lr, **RATE),
            "betas": seqbench.Param(betas, **BETAS),
            "weight_decay": seqbench.Param(weight_decay, **DECAY),
            **more,
        },
        description=description,
    )


@seqbench.hookimpl
def seqbench_optimizers():
    return [
        offer("lion", 1e-4, (0.9, 0.99), 0.0, "The sign of an average of gradients (Chen 2023)"),
        offer("adan", 1e-3, (0.98, 0.92, 0.99), 0.0, "Adaptive Nesterov momentum (Xie 2022)"),
        offer(
            "ademamix", 1e-3, (0.9, 0.999, 0.9999), 0.0, "Adam with a second, slow average (2024)",
            alpha=seqbench.Param(5.0, minimum=0, help="weight of the slow average"),
        ),
        offer(
            "prodigy", 1.0, (0.9, 0.999), 0.0, "Finds the learning rate itself (Mishchenko 2023)",
            d_coef=seqbench.Param(1.0, minimum=0, help="factor of the learning rate found"),
        ),
        offer(
            "soap", 3e-3, (0.95, 0.95), 0.01, "Adam in the eigenbasis of Shampoo (Vyas 2024)",
            precondition_frequency=seqbench.Param(10, minimum=1, help="steps between new bases"),
        ),
    ]  # fmt: skip
