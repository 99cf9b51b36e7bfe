"""`bitfleet sweep`: many campaigns over a grid, or another search, as Ray Tune trials."""
