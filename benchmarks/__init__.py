"""What serving costs, next to the predecessor's way: `python -m benchmarks.serving`.

And what many clients at once get, with and without batching: `python -m benchmarks.load`.

inputs.py     texts, pictures and events, made the same way everywhere
model.py      a full-size ViT-B-32 with random weights, and its bundle
plain.py      the predecessor's way: eager open_clip behind FastAPI
children.py   what runs in a process of its own: cold starts, and one request taken apart
processes.py  child processes, stopped whatever happens; the page cache; the machine
measure.py    the measurements, plain and ours in turn
report.py     samples → rows with goals → a table
serving.py    the command
load.py       many clients at once: the engine alone, one by one, batched
clients.py    the clients, in a process of their own
forward.py    the engine alone
"""
