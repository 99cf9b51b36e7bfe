"""Live metrics: what a running campaign or study tells Prometheus, served by the process that drives it.

`watch` keeps each campaign's latest figures, `families` puts them into Prometheus' words, `endpoint`
serves them, `options` has the command line's part in it.
"""
