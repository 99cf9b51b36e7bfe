"""`bitfleet study`: the paper's experiments over one campaign."""
