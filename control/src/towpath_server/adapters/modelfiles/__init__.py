"""
What model files are, and what is wrong with them: read as bytes, in a process with limits.

Nothing of a file is ever imported, unpickled or run. `examine` reads one file, `model` judges all
of them together, `scanner` does the reading in a child whose death costs nobody anything.
"""
