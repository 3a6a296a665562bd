CREATE TABLE orders (
    id text PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    body jsonb NOT NULL
);
