"""A FastAPI service that assesses one swap request a call, by Soba's own rules and model, as most teams would write it."""

from __future__ import annotations

import sys
import time

import uvicorn
from fastapi import FastAPI, HTTPException

from models.fraud import requests
from models.fraud.assess import Case, assess
from models.fraud.scorer import FRAUD
from models.releases import load
from topics.releases import unpack
from topics.schemas.risk import Assessment, SwapRequest

app = FastAPI()
model = load(unpack(FRAUD.shipped.read_bytes()), FRAUD)


@app.post("/assess")
def assessed(request: SwapRequest) -> Assessment:
    """The assessment of one request, both its wallets new."""
    now = time.time()
    if faults := requests.errors(request, now):
        raise HTTPException(422, [fault.model_dump() for fault in faults])
    (found,) = assess([Case("one", 0, request, None, None)], model.loaded, model.id, False, now)
    return found


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error")
