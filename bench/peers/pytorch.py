"""
PyTorch's nn.LSTM, on one thread of the CPU or on CUDA without TF32: the other end of pytorch.mjs. One JSON object a line:
first { device, workload, weights, batch }, arrays as base64, then { run: steps } any number of times.
"""

import base64
import json
import resource
import sys
import time

import torch


def matrix(text, columns):
    """[rows, columns]"""
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.float32).reshape(-1, columns)


class Step:
    def __init__(self, device, workload, weights, batch):
        torch.set_num_threads(1)
        if device == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("PyTorch finds no CUDA device")
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        self.device = torch.device(device)
        hidden, vocabulary = workload["hidden"], workload["vocabulary"]
        self.lstm = torch.nn.LSTM(vocabulary, hidden, workload["layers"])
        self.head = torch.nn.Linear(hidden, vocabulary)
        with torch.no_grad():
            for name, parameter in [*self.lstm.named_parameters(), *self.head.named_parameters()]:
                if "bias" in name:
                    parameter.zero_()
            for layer, given in enumerate(weights["layers"]):
                getattr(self.lstm, f"weight_ih_l{layer}").copy_(matrix(given["input"], 4 * hidden).T)
                getattr(self.lstm, f"weight_hh_l{layer}").copy_(matrix(given["recurrent"], 4 * hidden).T)
            self.head.weight.copy_(matrix(weights["head"], vocabulary).T)
        self.lstm.to(self.device)
        self.head.to(self.device)
        shape = workload["unroll"], workload["batch"]
        characters = torch.tensor(batch["characters"]).reshape(shape)
        self.x = torch.nn.functional.one_hot(characters, vocabulary).float().to(self.device)
        self.targets = torch.tensor(batch["targets"]).to(self.device)
        parameters = [*self.lstm.parameters(), *self.head.parameters()]
        self.adam = torch.optim.Adam(parameters, lr=0.001)

    def __call__(self):
        """The loss of a step, before its update."""
        self.adam.zero_grad()
        output, _ = self.lstm(self.x)
        loss = torch.nn.functional.cross_entropy(self.head(output).flatten(0, 1), self.targets)
        loss.backward()
        self.adam.step()
        return loss

    def run(self, steps):
        begin = time.perf_counter()
        for _ in range(steps):
            loss = self()
        # Reading it waits for the device.
        last = loss.item()
        return {"ms": 1000 * (time.perf_counter() - begin), "loss": last}

    def adapter(self):
        if self.device.type == "cuda":
            return torch.cuda.get_device_name()
        return "CPU, one thread"


step = None
for line in sys.stdin:
    try:
        message = json.loads(line)
        if step is None:
            step = Step(**message)
            reply = {"engine": f"PyTorch {torch.__version__}", "adapter": step.adapter()}
        else:
            reply = step.run(message["run"])
    except Exception as error:
        reply = {"error": str(error)}
    # In kilobytes, but on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reply["peakRssBytes"] = peak if sys.platform == "darwin" else 1024 * peak
    print(json.dumps(reply), flush=True)
