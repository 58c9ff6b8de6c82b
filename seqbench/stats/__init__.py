"""Pure functions of numbers; nothing here imports anything else of seqbench."""
