"""The routes, one module a subject; `ROUTERS` is the list that the app is made of."""

from facade.routes import alerts, blocks, data, health, index, mev, risk

ROUTERS = (index.router, health.router, blocks.router, mev.router, alerts.router, data.router, risk.router)
