"""The whole corpus, in the order of the docs."""

from hostile import ALL as ALL
from hostile import archived, documents, folders, graphs, pickled, templates, weights

PARTS = (pickled, weights, graphs, templates, documents, archived, folders)
