"""Artifacts: the bytes of models, who has brought which, uploads, and what becomes of the rest."""
