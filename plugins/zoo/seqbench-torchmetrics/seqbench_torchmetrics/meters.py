import inspect

import torchmetrics.classification
import torchmetrics.regression


class MeanOverOutputs:
    """A metric of numbers, which may give one number for each output."""

    def __init__(self, metric):
        self.metric = metric

    def update(self, answers, targets):
        answers, targets = answers.double(), targets.double()
        if answers.shape[1] == 1:
            answers, targets = answers[:, 0], targets[:, 0]
        self.metric.update(answers, targets)

    def compute(self):
        return self.metric.compute().mean()


def __getattr__(name):
    """The function that builds the metric of that name."""
    if name.startswith("_"):
        raise AttributeError(name)
    kind = getattr(torchmetrics.regression, name, None)
    if kind is not None:
        return lambda task: MeanOverOutputs(_made(kind, num_outputs=task.output_size))

    def build(task):
        several = task.target_type == "labels"
        kind = getattr(torchmetrics.classification, f"Multi{'label' if several else 'class'}{name}")
        count = {"num_labels" if several else "num_classes": task.output_size}
        return _made(kind, average="macro", **count)

    return build


def _made(kind, **options):
    """The metric with those of the options that it knows."""
    known = inspect.signature(kind).parameters
    return kind(**{key: value for key, value in options.items() if key in known})
