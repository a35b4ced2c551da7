"""Ablations: rows of parameters, each run through the whole pipeline, and one table of what came out."""
