"""The neural codec: a mean-scale hyperprior of variable rate, decoded exactly everywhere.

Minnen, Ballé, Toderici, "Joint Autoregressive and Hierarchical Priors for Learned Image Compression"
(NeurIPS 2018), without the autoregressive part. A network is trained as CompressAI has it (`network`),
then exported (`export`) to weights in which all that an entropy decoder depends on is integers
(`weights`, `exact`, `tables`). What encodes and decodes (`model`) is plain torch.
"""
