from seqbench.testing import conformance

test_mamba = conformance("mamba", hidden_size=8)
