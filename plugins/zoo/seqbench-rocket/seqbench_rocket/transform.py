import numpy
from aeon.transformations.collection.convolution_based import MiniRocket, Rocket
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

VARIANTS = {"rocket": Rocket, "minirocket": MiniRocket}


def rocket(task, *, seed, kernels, variant):
    """ROCKET (Dempster et al. 2020) or MiniRocket (2021) with ridge regression, as in the papers.

    Without `predict_proba`: the scores of the ridge classifier are no probabilities.
    """
    return make_pipeline(
        FunctionTransformer(channels_first),
        VARIANTS[variant](n_kernels=kernels, random_state=seed),
        StandardScaler(with_mean=False),
        RidgeClassifierCV(alphas=numpy.logspace(-3, 3, 10)),
    )


def channels_first(inputs):
    return inputs.transpose(0, 2, 1)  # aeon has (n, channels, time)
