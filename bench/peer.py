"""PyTorch as the peer of bench/embed.ts: the same prompts, sorted by length, in batches of 64, or as many as the set-up says.

Reads the model's GGUF file or folder and the sentences (one line of JSON each) from standard input, then runs once for every line
"run" and answers with one line of JSON. Needs: torch, transformers, gguf.
"""
import json
import os
import resource
import sys
import time

import torch
from transformers import AutoModel, AutoTokenizer

torch.set_num_threads(int(os.environ.get("THREADS", "2")))
torch.set_grad_enabled(False)
setup = json.loads(sys.stdin.readline())
dtype = getattr(torch, setup["dtype"])
folder, file = setup["model"], None
if folder.endswith(".gguf"):
    folder, file = os.path.split(folder)
device, size = setup["device"], setup["batch"]
tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
model = AutoModel.from_pretrained(folder, gguf_file=file, dtype=dtype).to(device).eval()
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
tokenizer.padding_side = "right"


def embed(prompts):
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    rows = [None] * len(prompts)
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        inputs = tokenizer([prompts[i] for i in batch], return_tensors="pt", padding=True).to(device)
        hidden = model(input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, use_cache=False).last_hidden_state
        last = inputs.attention_mask.sum(1) - 1
        for i, row in zip(batch, hidden[torch.arange(len(batch), device=device), last].float().cpu()):
            rows[i] = row
    return rows


print(json.dumps({"name": f"PyTorch {torch.__version__} {setup['dtype']}"}), flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    rows = embed(setup["prompts"])
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peakBytes": peak, "first": [float(x) for x in rows[0]]}), flush=True)
