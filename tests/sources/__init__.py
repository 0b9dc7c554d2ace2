"""Tests of pictures named by URL."""
