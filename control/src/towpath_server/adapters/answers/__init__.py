"""Judging a model's answer by what people wrote down: in a process of its own, within bounds."""
