"""The law that a sweep's campaigns follow, and the operating point to choose by it."""
