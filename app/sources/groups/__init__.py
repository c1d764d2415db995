"""The groups of figures that the ``metrics`` source is composed of."""
