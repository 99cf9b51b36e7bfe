"""What is on the road: frames, codecs, bit budgets, uplinks, vehicles, and the actors that host them."""
