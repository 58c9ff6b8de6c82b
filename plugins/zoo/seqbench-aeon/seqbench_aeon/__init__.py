import seqbench

#: The sets in aeon's package that have a training and a test split; the last two have values.
NAMES = (
    "ACSF1", "ArrowHead", "BasicMotions", "Covid3Month_disc", "GunPoint", "ItalyPowerDemand",
    "JapaneseVowels", "OSULeaf", "PickupGestureWiimoteZ", "UnitTest",
    "CardanoSentiment", "Covid3Month",
)  # fmt: skip


@seqbench.hookimpl
def seqbench_datasets():
    return [
        seqbench.DatasetSpec(
            "aeon",
            load="seqbench_aeon.series:load",
            parameters={
                "name": seqbench.Param("JapaneseVowels", choices=NAMES),
                "seed": seqbench.Param(
                    None, minimum=0, help="deals out all sequences again; null: as in the files"
                ),
                "validation": seqbench.Param(
                    0, minimum=0, help="training sequences set aside, the same for every seed"
                ),
                "normalise": seqbench.Param(
                    "none", choices=("none", "z"), help="z: mean 0, deviation 1 in each channel"
                ),
            },
            description="Time series of equal or unequal length that are part of aeon's package",
            tasks=["features/label", "features/value"],
        )
    ]
