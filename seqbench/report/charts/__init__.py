"""Charts of a run as Vega-Lite specifications; the page and ``seqbench plot`` draw the same."""
