"""The climate study of the paper: how well a linear model tells the climate of a cell from its embedding."""
