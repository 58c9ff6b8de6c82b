import pytorch_optimizer


def lion(parameters, betas, **params):
    return pytorch_optimizer.Lion(parameters, betas=tuple(betas), **params)


def adan(parameters, betas, **params):
    return pytorch_optimizer.Adan(parameters, betas=tuple(betas), **params)


def ademamix(parameters, betas, **params):
    return pytorch_optimizer.AdEMAMix(
        parameters, betas=tuple(betas), weight_decouple=True, **params
    )


def prodigy(parameters, betas, **params):
    return pytorch_optimizer.Prodigy(parameters, betas=tuple(betas), **params)


def soap(parameters, betas, **params):
    return pytorch_optimizer.SOAP(parameters, betas=tuple(betas), **params)
