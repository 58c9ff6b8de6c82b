import seqbench


@seqbench.hookimpl
def seqbench_datasets():
    part = seqbench.Param(0.05, minimum=0, maximum=1, help="fraction of the text")
    total, first = 4_138_497, "use only this many, from the beginning"
    parameters = {
        "length": seqbench.Param(100, minimum=1, help="characters per sequence"),
        "characters": seqbench.Param(total, minimum=1, maximum=total, help=first),
        **dict.fromkeys(("validation", "test"), part),
    }
    load, about = "seqbench_charlm.text:load", "Next character of the King James Bible"
    return [seqbench.DatasetSpec("char_lm", load, parameters, about, ["tokens/label_per_step"])]
