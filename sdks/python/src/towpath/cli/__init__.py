"""The command line, on top of the SDK only: one module per noun, loaded when it is used."""
