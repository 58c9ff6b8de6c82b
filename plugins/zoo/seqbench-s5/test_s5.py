from seqbench.testing import conformance

test_s5 = conformance("s5", hidden_size=8, state_size=8)
