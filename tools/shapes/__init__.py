"""A tiny OpenCLIP model of drawn coloured shapes: its pictures, captions, training and test."""
