from torchmetrics.classification import MulticlassF1Score


def macro_f1(task):
    return MulticlassF1Score(num_classes=task.output_size, average="macro")
