"""OpenCLIP Serverless: texts and pictures in, the checkpoint's own vectors out."""

__version__ = "0.1.0"
