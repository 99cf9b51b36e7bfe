"""Frames: the reader of the Cityscapes layout and the table of labels."""
