from seqbench.testing import conformance

test_both = conformance("xlstm", hidden_size=8, num_heads=2, longest=64)
test_mlstm = conformance("xlstm", hidden_size=8, num_heads=2, longest=64, slstm_at=[])
