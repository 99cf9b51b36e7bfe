"""What is in the data centre: collector, stages, learning, costs, campaigns, reports, command line."""
