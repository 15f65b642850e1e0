"""How good a model version is: results of suites, recorded by digest."""
