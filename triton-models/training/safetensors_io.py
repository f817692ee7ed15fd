"""The safetensors format, read and written without its package (Debian has none).

Layout: a little-endian u64 with the header's length, a JSON header, the tensors' bytes.
"""

import json
import os
import struct

import numpy
import torch

DTYPES = {
    "F64": (torch.float64, "<f8"),
    "F32": (torch.float32, "<f4"),
    "F16": (torch.float16, "<f2"),
    "I64": (torch.int64, "<i8"),
    "U8": (torch.uint8, "u1"),
}
NAMES = {dtype: name for name, (dtype, _) in DTYPES.items()}


def load(path):
    """Returns every tensor of the file by name."""
    with open(path, "rb") as file:
        data = file.read()
    header_length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + header_length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        if entry["dtype"] not in DTYPES:
            raise ValueError(f"{path}: {name} has dtype {entry['dtype']}, known are {', '.join(DTYPES)}")
        begin, end = (8 + header_length + offset for offset in entry["data_offsets"])
        array = numpy.frombuffer(data[begin:end], DTYPES[entry["dtype"]][1]).reshape(entry["shape"])
        tensors[name] = torch.from_numpy(array.copy())
    return tensors


def save(tensors, path, metadata=None):
    """Writes `tensors` (in their order, with their dtypes) so that readers never see half a file."""
    header = {"__metadata__": {"format": "pt", **(metadata or {})}}
    offset = 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    with open(f"{path}.part", "wb") as file:
        file.write(struct.pack("<Q", len(encoded)))
        file.write(encoded)
        for tensor in tensors.values():
            file.write(tensor.detach().cpu().contiguous().numpy().tobytes())
    os.replace(f"{path}.part", path)
