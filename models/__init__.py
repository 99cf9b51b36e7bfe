"""Networks, their training loops and their measures: plain torch and numpy, no Ray, no fleet, no server."""
