"""`dvc repro` with several stages at once."""
