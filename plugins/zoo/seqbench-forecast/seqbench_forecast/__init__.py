import seqbench

PARAMETERS = {
    "series": seqbench.Param("sunspots", choices=("sunspots", "co2", "elnino")),
    "length": seqbench.Param(96, minimum=1, help="steps that the model sees"),
    "horizon": seqbench.Param(12, minimum=1, help="steps to forecast, all at once"),
    "stride": seqbench.Param(1, minimum=1, help="steps from one window to the next"),
}


@seqbench.hookimpl
def seqbench_datasets():
    load, about = "seqbench_forecast.windows:load", "Forecasts of sunspots, CO2 or El Niño"
    return [seqbench.DatasetSpec("forecast", load, PARAMETERS, about, ["features/value"])]
