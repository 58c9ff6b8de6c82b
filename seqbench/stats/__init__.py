"""Statistics: pure functions of numbers, independent of the rest of seqbench."""
