"""Vectors as JSON values or bytes: float, base64, f16, int8, uint8, binary, ubinary, .npy.

int8 is scaled per vector, 127 / max|x|, and rounded: cosines between int8 vectors are those of the
floats to about 0.001, but their lengths mean nothing. uint8 is int8 + 128. binary and ubinary keep
the signs (x > 0), eight to a byte, the first component in the highest bit: ubinary is the byte,
binary the byte - 128 (the convention of Cohere's API).
"""

import base64
import io
from typing import Final

import numpy as np
from numpy.typing import NDArray

ENCODINGS: Final = ("float", "base64", "f16", "int8", "uint8", "binary", "ubinary")


def encode_vectors(vectors: NDArray[np.float32], encoding: str) -> object:
    """Return what orjson (OPT_SERIALIZE_NUMPY) writes for float32 (n, dim) in one of ENCODINGS.

    base64 is of little-endian float32, f16 base64 of little-endian float16; the others are lists.
    """
    match encoding:
        case "float":
            return np.ascontiguousarray(vectors)
        case "base64":
            return [_base64(row.astype("<f4")) for row in vectors]
        case "f16":
            return [_base64(row.astype("<f2")) for row in vectors]
        case "int8":
            return _int8(vectors)
        case "uint8":
            return (_int8(vectors).astype(np.int16) + 128).astype(np.uint8)
        case "binary":
            return (np.packbits(vectors > 0, axis=1).astype(np.int16) - 128).astype(np.int8)
        case "ubinary":
            return np.packbits(vectors > 0, axis=1)
    raise ValueError(f"no such encoding: {encoding}")


def npy(vectors: NDArray[np.float32]) -> bytes:
    """Return float32 (n, dim) as a .npy file (NumPy's format, version 1.0)."""
    out = io.BytesIO()
    np.lib.format.write_array(out, np.ascontiguousarray(vectors, "<f4"), version=(1, 0))
    return out.getvalue()


def raw(vectors: NDArray[np.float32]) -> bytes:
    """Return float32 (n, dim) as little-endian bytes, row after row."""
    return np.ascontiguousarray(vectors, "<f4").tobytes()


def _int8(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    largest = np.maximum(np.abs(vectors).max(axis=1, keepdims=True, initial=0), np.float32(1e-30))
    scaled: NDArray[np.int8] = np.rint(vectors * (np.float32(127) / largest)).astype(np.int8)
    return scaled


def _base64(values: NDArray[np.generic]) -> str:
    return base64.b64encode(values.tobytes()).decode()
