"""Loads what oneword exports as its users do, and prints what comes out: python peers.py < jobs.json > results.json.

A job is {"kind", "path", …}, its result vectors and token ids of `texts`, or what else the kind says.
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
from gguf import GGUFReader  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
from sentence_transformers import SentenceTransformer  # noqa: E402
from transformers import AutoModel, AutoTokenizer  # noqa: E402


def embed(model, tokenizer, texts):
    """The last token's state of each text, on its own."""
    ids = [tokenizer(text)["input_ids"] for text in texts]
    with torch.no_grad():
        states = [model.eval()(input_ids=torch.tensor([row])).last_hidden_state[0, -1] for row in ids]
    return {"ids": ids, "vectors": [state.float().tolist() for state in states]}


def transformers(job):
    model = AutoModel.from_pretrained(job["path"], dtype=torch.float32)
    return embed(model, AutoTokenizer.from_pretrained(job["path"]), job["texts"])


def gguf(job):
    """The file by transformers, and its head by the gguf package."""
    folder, file = os.path.split(job["path"])
    model = AutoModel.from_pretrained(folder, gguf_file=file, dtype=torch.float32, **job["config"])
    reader = GGUFReader(job["path"])
    types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    tokens = len(reader.get_field("tokenizer.ggml.tokens").data)
    tokenizer = AutoTokenizer.from_pretrained(job["tokenizer"])
    return {**embed(model, tokenizer, job["texts"]), "types": types, "tokens": tokens}


def sentence_transformers(job):
    model = SentenceTransformer(job["path"], device="cpu")
    ids = [model.tokenize([text])["input_ids"][0].tolist() for text in job["texts"]]
    return {"ids": ids, "vectors": model.encode(job["texts"], convert_to_numpy=True).tolist()}


def peft(job):
    """The base with an adapter of ours."""
    base = AutoModel.from_pretrained(job["base"], dtype=torch.float32)
    model = PeftModel.from_pretrained(base, job["path"])
    return embed(model, AutoTokenizer.from_pretrained(job["base"]), job["texts"])


def new_adapter(job):
    """A random adapter that PEFT makes and saves."""
    torch.manual_seed(1)
    base = AutoModel.from_pretrained(job["base"], dtype=torch.float32)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False)
    model = get_peft_model(base, config)
    model.save_pretrained(job["path"])
    return embed(model, AutoTokenizer.from_pretrained(job["base"]), job["texts"])


torch.set_num_threads(1)
kinds = {
    "transformers": transformers,
    "gguf": gguf,
    "sentence-transformers": sentence_transformers,
    "peft": peft,
    "new-adapter": new_adapter,
}
json.dump([kinds[job["kind"]](job) for job in json.load(sys.stdin)], sys.stdout)
