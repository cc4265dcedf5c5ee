"""The command line: a table of verbs and how their answers are printed. It decides nothing else."""
