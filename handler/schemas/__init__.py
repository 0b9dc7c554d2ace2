"""The wire contracts, one module each: a decoder to items, an encoder of vectors, an error shape.

`contract` says what such a module has, `fields` reads what several of them share, `documents` shows
all of them as OpenAPI. The embedder knows none of them.
"""
