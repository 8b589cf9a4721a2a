"""PyTorch and PEFT as the peer of bench/train.ts: the same triples, padded to the longest of each of the three columns.

Reads the set-up (one line of JSON) from standard input, then makes one training step for every line "run" and answers with
one line of JSON. Needs: torch, transformers, gguf, peft.
"""
import json
import os
import resource
import sys
import time

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from transformers import AutoModel, AutoTokenizer

torch.set_num_threads(int(os.environ.get("THREADS", "2")))
setup = json.loads(sys.stdin.readline())
folder, file = setup["model"], None
if folder.endswith(".gguf"):
    folder, file = os.path.split(folder)
device = setup["device"]
tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
base = AutoModel.from_pretrained(folder, gguf_file=file, dtype=torch.float32).to(device)
model = get_peft_model(base, LoraConfig(r=64, lora_alpha=16, lora_dropout=0.0, target_modules="all-linear"))
model.train()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-9, weight_decay=0)
columns = list(zip(*setup["prompts"]))


def embed(prompts):
    batch = tokenizer(list(prompts), return_tensors="pt", padding=True, padding_side="right", add_special_tokens=False)
    batch = batch.to(device)
    hidden = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
    return hidden[torch.arange(len(prompts), device=device), batch.attention_mask.sum(1) - 1]


print(json.dumps({"name": "PyTorch + PEFT float32"}), flush=True)
for _ in sys.stdin:
    start = time.time()
    anchor, positive, negative = (F.normalize(embed(column), dim=-1) for column in columns)
    scores = anchor @ torch.cat([positive, negative]).T / 0.05
    loss = F.cross_entropy(scores, torch.arange(len(anchor), device=device))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    loss = loss.item()
    if device != "cpu":
        torch.cuda.synchronize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": time.time() - start, "peakBytes": peak, "first": [], "loss": loss}), flush=True)
