"""What serving costs, next to the predecessor's way: `python -m benchmarks.serving`.

inputs.py     texts, pictures and events, made the same way everywhere
model.py      a full-size ViT-B-32 with random weights, and its bundle
plain.py      the predecessor's way: eager open_clip behind FastAPI
children.py   what runs in a process of its own: cold starts, and one request taken apart
processes.py  child processes, stopped whatever happens; the page cache; the machine
measure.py    the measurements, plain and ours in turn
report.py     samples → rows with goals → a table
serving.py    the command
"""
