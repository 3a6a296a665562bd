"""A commented piece of a file for each section; the tests load every one of them."""

from __future__ import annotations

EXAMPLES = {
    "app": """\
app: hello                       # the name; also the host name on the ingress: hello.localhost
services:
  web:
    run: "python app.py"         # listens on $PORT
    public: /                    # the ingress sends / here
""",
    "services": """\
app: shop
services:
  orders:
    run: uvicorn main:app --port $PORT
    public: /orders
    needs: [payment, resources/orders-db]   # gives PAYMENT_URL and ORDERS_DB_URL, and the permission
    health: /healthz                        # or {http: /healthz, every: 5s, fails: 3}, {tcp: true}, {exec: "..."}
    scale: 1..4                             # or 3, or {min: 1, max: 8, rps: 200}
    resources: {cpu: 250m, memory: 128Mi}
    env: {LOG_LEVEL: info, REGION: "${env.REGION:-eu}"}
  payment: {run: "python pay.py"}
resources:
  orders-db: {type: sqlite}
""",
    "needs": """\
app: shop
services:
  orders:
    run: python orders.py
    needs:
      - payment                        # call a service: PAYMENT_URL
      - {stock: read}                  # only GET, HEAD, OPTIONS
      - {billing: [GET /invoices*, POST /invoices]}
      - resources/orders-db: read      # a resource, with a verb: ORDERS_DB_URL
      - https://api.example.com        # something outside
  payment: {run: python pay.py}
  stock: {run: python stock.py}
  billing: {run: python billing.py}
resources:
  orders-db: {type: sqlite}
""",
    "traffic": """\
app: shop
services:
  orders:
    run: python orders.py
    scale: 2
    traffic:
      timeout: 2s                      # for the whole answer
      retries: 2                       # or {attempts: 2, per_try: 500ms, budget: 20%}
      breaker: {errors: 50%, over: 10s}
      limit: 500/s                     # or [{requests: 10, per: 1s, by: client}, ...]
      balance: round-robin             # or {header: x-user}: equal ones to the same replica
      zones: [eu-west/a, eu-west/b]    # where its replicas stand, the nearest first
      routes:                          # the first that fits
        - match: {path: /old}
          redirect: /new
        - match: {path: /reports, method: GET}
          timeout: 60s
""",
    "route": """\
app: shop
services:
  orders:
    run: python orders.py
    traffic:
      routes:
        - match: {path: /v1, header: {x-client: {prefix: "ios/"}}}
          rewrite: /                   # /v1/orders is /orders to the service
          limit: {requests: 10, per: 1s, by: client}
        - match: {query: {trace: {present: true}}}
          headers: {request: {set: {x-debug: "1"}}, response: {remove: server}}
""",
    "access": """\
app: shop
services:
  web:
    run: python web.py
    public: /
    access:
      jwt: {issuer: "https://login.example", audience: shop, jwks: "https://login.example/keys", open: [/healthz]}
      check: {url: "http://127.0.0.1:9000/check", timeout: 200ms}
""",
    "versions": """\
app: shop
services:
  payment:
    run: python pay.py
    versions:
      v1: {weight: 90%}
      v2: {weight: 10%, env: {FAST: "1"}, match: {header: {x-beta: "true"}}}
""",
    "jobs": """\
app: shop
jobs:
  report: {run: "python report.py", schedule: "0 2 * * *", needs: [resources/orders-db]}
resources:
  orders-db: {type: sqlite}
""",
    "resources": """\
app: shop
resources:
  orders-db: {type: sqlite}
  uploads: {type: volume}
  users-db: {type: postgres, version: 18, backup: {every: 1d, keep: 7}}
protect: [resources/users-db]
""",
    "functions": """\
app: shop
topics:
  orders: {retain: 7d}
functions:
  notify: {handler: app.handle, runtime: python3.11, on: [topics/orders], limits: {timeout: 30s, memory: 256Mi}}
""",
    "topics": """\
app: shop
topics:
  orders: {retain: 7d, delivery: at-least-once, retries: 5, dead_letter: true}
""",
    "config": """\
app: shop
config:
  features: {values: {checkout: new}}
""",
    "protect": """\
app: shop
resources:
  users-db: {type: sqlite}
protect: [resources/users-db]          # no plan may delete it
""",
    "environments": """\
app: shop
services:
  orders: {run: python orders.py, scale: 1}
environments:
  busy:
    services: {orders: {scale: 3}}     # over the file, deeply; null removes a key
""",
}
