from seqbench.testing import conformance

test_cfc = conformance("cfc", hidden_size=8)
test_pure_cfc = conformance("cfc", hidden_size=8, mode="pure")
test_ltc = conformance("ltc", hidden_size=8)
