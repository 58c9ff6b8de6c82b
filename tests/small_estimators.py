"""A plugin package with estimators written in NumPy, and a dataset that they can tell apart."""

DECLARED = """
    import seqbench

    SEQBENCH_API = 5

    ABOUT = {"projected": {"size": 8}}

    @seqbench.hookimpl
    def seqbench_models():
        names = ("centroid", "projected", "loose", "broken", "flat", "certain", "ridge", "weighing")
        every = ["features/label", "features/labels", "features/value"]
        return [seqbench.ModelSpec(name, f"fits_models:{name.title()}", ABOUT.get(name, {}),
                                   kind="estimator", tasks=every if name == "ridge" else every[:1])
                for name in names]

    @seqbench.hookimpl
    def seqbench_datasets():
        return [seqbench.DatasetSpec("blobs", "fits_data:load", {
                    "unequal": False, "target": "label", "weights": "none", "classes": 3})]

    @seqbench.hookimpl
    def seqbench_metrics():
        return [seqbench.MetricSpec("right", "fits_data:Right", share=True, needs="classes")]
    """

MODELS = """
    import numpy as np

    class Centroid:
        '''The class with the nearest mean; predicts and nothing else.'''
        def __init__(self, task, seed):
            self.task, self.draw = task, np.random.default_rng(seed)
        def features(self, inputs):
            return np.stack([np.append(one.mean(0), one[-1]) for one in inputs])
        def fit(self, inputs, targets):
            x = self.features(inputs)
            self.known = np.unique(targets)
            self.centers = np.stack([x[targets == one].mean(0) for one in self.known])
        def distances(self, inputs):
            x = self.features(inputs)
            return ((x[:, None] - self.centers) ** 2).sum(-1)
        def predict(self, inputs):
            return self.known[self.distances(inputs).argmin(1)]

    class Projected(Centroid):
        '''Of random features, with probabilities.'''
        def __init__(self, task, seed, size):
            super().__init__(task, seed)
            self.weights = np.random.standard_normal((2 * task.input_size, size))  # global
        def fit(self, inputs, targets):
            super().fit(inputs, targets)
            self.classes_ = self.known
        def features(self, inputs):
            return super().features(inputs) @ self.weights
        def predict_proba(self, inputs):
            p = np.exp(-self.distances(inputs) / 100)
            return p / p.sum(1, keepdims=True)

    class Loose(Centroid):
        '''Does not use the seed that it gets.'''
        def __init__(self, task, seed):
            super().__init__(task, None)
        def fit(self, inputs, targets):
            super().fit(inputs, self.draw.permutation(targets))

    class Broken(Centroid):
        def fit(self, inputs, targets):
            raise ValueError("not this kind\\nof data")

    class Flat(Centroid):
        '''Takes the length that it was fitted to, and no other.'''
        def features(self, inputs):
            return inputs.reshape(len(inputs), -1)
        def distances(self, inputs):
            x = self.features(inputs)
            return np.stack([((x - one) ** 2).sum(1) for one in self.centers], 1)

    class Certain(Centroid):
        '''As classifiers of aeon that have no probabilities.'''
        def predict_proba(self, inputs):
            return np.eye(self.task.output_size)[self.predict(inputs)]

    class Ridge:
        '''Values, or scores of classes.'''
        def __init__(self, task, seed):
            self.task = task
            if task.target != "label":
                self.decision_function = None
        def features(self, inputs):
            means = [np.append(one.mean(0), 1) for one in inputs]
            return np.stack(means).astype(float)
        def fit(self, inputs, targets):
            y = np.eye(self.task.output_size)[targets] if self.task.target == "label" else targets
            if self.task.target == "labels":
                y = 2 * y - 1
            x = self.features(inputs)
            self.weights = np.linalg.solve(x.T @ x + 0.1 * np.eye(x.shape[1]), x.T @ y)
        def decision_function(self, inputs):
            return self.features(inputs) @ self.weights
        def predict(self, inputs):
            found = self.features(inputs) @ self.weights
            if self.task.target == "label":
                return found.argmax(1)
            return (found > 0).astype(int) if self.task.target == "labels" else found

    class Weighing(Centroid):
        def fit(self, inputs, targets, sample_weight=None):
            self.given = sample_weight
            super().fit(inputs, targets)
    """

DATA = """
    import numpy as np
    import seqbench

    def load(context, *, unequal, target, weights, classes):
        draw = np.random.default_rng(0)
        def split(n):
            y = draw.integers(0, classes, n)
            lengths = draw.integers(3, 9, n) if unequal else [6] * n
            x = [draw.normal(0.7 * k, 1, (t, 2)).astype("float32") for k, t in zip(y, lengths)]
            if target == "value":
                y = np.stack([one.mean(0) for one in x])
            if target == "labels":
                y = np.stack([y > 0, y > 1], 1).astype("uint8")
            w = {"none": None, "some": np.arange(n) % 2, "shares": 0.5 + np.arange(n) % 2}[weights]
            x = x if unequal else np.stack(x)
            return (x, y) if w is None else (x, y, w.astype("float32"))
        sizes = {"label": classes, "labels": 2, "value": 2}
        task = seqbench.Task("features", 2, target, sizes[target], 8 if unequal else 6)
        return seqbench.Splits(task, train=split(120), validation=split(30), test=split(60))

    class Right:
        def __init__(self, task): self.hits = self.n = 0
        def update(self, answers, targets):
            self.hits += int((answers.argmax(-1) == targets).sum())
            self.n += len(targets)
        def compute(self): return self.hits / self.n
    """

MODULES = {"fits": DECLARED, "fits_models": MODELS, "fits_data": DATA}
